;; Calls an imported function through a table a million times and exits with 3. WasmEdge's native code would exhaust
;; its stack.
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (type $get (func (param i32 i32) (result i32)))
  (table 1 funcref)
  (elem (i32.const 0) func $random)
  (func (export "_start") (local $i i32)
    (loop $next
      (drop (call_indirect (type $get) (i32.const 0) (i32.const 0) (i32.const 0)))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $i) (i32.const 1000000))))
    (call $exit (i32.const 3))))
