// Package browser tests the option dev with a real browser: it has to follow a
// developer's edits. It is a separate module, so that nobody who builds php_pool inherits
// what it requires.
package browser
