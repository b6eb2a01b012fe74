;; Has a memory with 64-bit addresses.
(module
  (memory (export "memory") i64 1)
  (func (export "_start") (i32.store (i64.const 8) (i32.const 1))))
