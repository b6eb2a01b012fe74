;; Traps in its start section, so it never comes as far as _start.
(module
  (memory (export "memory") 1)
  (func $in_the_start_section unreachable)
  (start $in_the_start_section)
  (func (export "_start")))
