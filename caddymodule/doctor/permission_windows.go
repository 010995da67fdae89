package doctor

import (
	"os"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// mayWrite says why no files can be made in a directory.
func mayWrite(dir string, _ *phpbin.Credential) error {
	f, err := os.CreateTemp(dir, "php_pool-doctor-")
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Remove(f.Name())
}
