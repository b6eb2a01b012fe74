;; Imports a function that exists, but as another type.
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $f (param i64) (result i64)))
  (memory (export "memory") 1)
  (func (export "_start") (drop (call $f (i64.const 1)))))
