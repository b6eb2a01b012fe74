;; A component, not a module.
(component
  (core module (func (export "_start"))))
