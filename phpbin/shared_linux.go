package phpbin

import (
	"errors"
	"fmt"
	"os"

	"github.com/mevdschee/caddy-php-pool/phpbin/internal/procfs"
)

// SupportsShared reports whether this system can have a shared master. [StartShared]
// may still return errors.ErrUnsupported, for example on an old kernel.
const SupportsShared = true

// sharedSupported returns an error if the system lacks what Shared needs.
func sharedSupported() error {
	if err := checkPidfds(); err != nil {
		return fmt.Errorf("a shared php-cgi master needs Linux 5.3: %w: %w", err, errors.ErrUnsupported)
	}
	if _, err := procfs.ReadStat(os.Getpid()); err != nil {
		return fmt.Errorf("a shared php-cgi master needs /proc: %w: mount it, or write spawn single: %w", err, errors.ErrUnsupported)
	}
	if err := procfs.CheckPIDNamespace(); err != nil {
		return fmt.Errorf("a shared php-cgi master needs the /proc of its pid namespace: %w: mount it (unshare --mount-proc), or write spawn single: %w",
			err, errors.ErrUnsupported)
	}
	return nil
}
