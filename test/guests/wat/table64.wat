;; Traps: its table has no element 2^32. WasmEdge's native code would call element 0, and exit with 9.
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (type $value (func (result i32)))
  (table i64 2 funcref)
  (elem (i64.const 0) func $nine)
  (func $nine (type $value) (i32.const 9))
  (func (export "_start") (call $exit (call_indirect (type $value) (i64.const 0x100000000)))))
