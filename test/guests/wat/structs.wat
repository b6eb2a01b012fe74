;; Writes and reads a structure a million times and exits with 3. WasmEdge's native code would exhaust its stack.
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (type $s (struct (field (mut i32)) (field i64)))
  (func (export "_start") (local $i i32) (local $r (ref null $s))
    (local.set $r (struct.new_default $s))
    (loop $next
      (struct.set $s 0 (local.get $r) (local.get $i))
      (drop (struct.get $s 0 (local.get $r)))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $i) (i32.const 1000000))))
    (call $exit (i32.const 3))))
