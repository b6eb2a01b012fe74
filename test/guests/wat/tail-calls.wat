;; Calls itself in tail position three million times and exits with 3. WasmEdge's native code would exhaust its stack.
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func $count (param $left i32)
    (if (i32.eqz (local.get $left)) (then (call $exit (i32.const 3))))
    (return_call $count (i32.sub (local.get $left) (i32.const 1))))
  (func (export "_start") (call $count (i32.const 3000000))))
