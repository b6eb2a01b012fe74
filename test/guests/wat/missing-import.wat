;; Imports what nobody provides.
(module
  (import "nobody" "provides_this" (func $f (param i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start") (drop (call $f (i32.const 1)))))
