;; Asks for all the memory there can be, 2^16 pages, and touches one byte of each page.
(module
  (memory (export "memory") 65536)
  (func $touch_everything (export "_start") (local $page i32)
    (loop $next
      (i32.store8 (i32.shl (local.get $page) (i32.const 16)) (i32.const 1))
      (local.set $page (i32.add (local.get $page) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $page) (i32.const 65536))))))
