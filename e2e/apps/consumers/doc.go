// Package consumers tests the status page with monitoring systems that read
// php-fpm's: they must see no difference. It is a separate module, so that
// nobody who builds php_pool inherits what they require.
package consumers
