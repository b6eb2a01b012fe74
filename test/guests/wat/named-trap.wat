;; Traps two calls deep; the functions have names.
(module
  (memory (export "memory") 1)
  (func $outer_function (export "_start") (call $inner_function))
  (func $inner_function unreachable))
