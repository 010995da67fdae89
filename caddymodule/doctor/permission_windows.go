package doctor

import (
	"os"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// SameUserRemedy says how to separate PHP from Caddy: on Windows workers always
// run as Caddy's user.
const SameUserRemedy = "make sure that all sites trust each other: on Windows PHP cannot run as another user"

// SharedUserRemedy says how to separate pools from each other: on Windows it cannot
// be done.
const SharedUserRemedy = "make sure that all sites trust each other: on Windows PHP cannot run as another user"

// installExtension says how to install an extension, by its name without suffix.
func installExtension(name string) string { return "put php_" + name + ".dll into PHP's extension_dir" }

// installOPcache says how to enable OPcache, which is part of PHP for Windows.
func installOPcache(string) string { return "load it with `zend_extension=opcache` in an ini file" }

// checkWritable returns an error if no files can be created in a directory.
func checkWritable(dir string, _ *phpbin.Credential) error {
	f, err := os.CreateTemp(dir, "php_pool-doctor-")
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Remove(f.Name())
}
