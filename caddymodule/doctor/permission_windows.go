package doctor

import (
	"os"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

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
