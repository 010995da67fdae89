package live

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.uber.org/zap"
)

// releasesFile is the file beside a link with the releases that were deployed, one path a
// line, the last one last. It outlives Caddy, and says what may be removed: only what was
// deployed once. Times of files would not: a release may write to itself.
func releasesFile(link string) string {
	return filepath.Join(filepath.Dir(link), "."+filepath.Base(link)+".releases")
}

func readReleases(link string) ([]string, error) {
	text, err := os.ReadFile(releasesFile(link))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return slices.DeleteFunc(strings.Split(string(text), "\n"), func(line string) bool { return !filepath.IsAbs(line) }), nil
}

func writeReleases(link string, releases []string) error {
	next := releasesFile(link) + ".next"
	if err := os.Remove(next); err != nil && !errors.Is(err, os.ErrNotExist) { // of a Caddy that was killed
		return err
	}
	// Exclusive: if others may write in the directory, they could make it a symlink.
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // G302: it holds no secret
	if err != nil {
		return err
	}
	_, err = f.WriteString(strings.Join(releases, "\n") + "\n")
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(next))
	}
	return os.Rename(next, releasesFile(link))
}

// recordRelease adds a release, and the one before if that is not known.
func recordRelease(link, previous, current string) error {
	list, err := readReleases(link)
	if err != nil {
		return err
	}
	for _, dir := range []string{previous, current} {
		if dir != "" && (len(list) == 0 || list[len(list)-1] != dir) {
			list = append(slices.DeleteFunc(list, func(known string) bool { return known == dir }), dir)
		}
	}
	return writeReleases(link, list)
}

// forgetRelease removes a release that was rolled back.
func forgetRelease(link, bad string) error {
	list, err := readReleases(link)
	if err != nil {
		return err
	}
	return writeReleases(link, slices.DeleteFunc(list, func(known string) bool { return known == bad }))
}

// previousRelease returns the release that was deployed before the current one.
func previousRelease(link, current string) (string, error) {
	list, err := readReleases(link)
	if err != nil {
		return "", err
	}
	i := slices.Index(list, current)
	if i < 1 {
		return "", fmt.Errorf("link %s: no release before %s is known (%s): deploy one by its path", link, current, releasesFile(link))
	}
	return checkRelease(list[i-1])
}

// removeEarlier removes the releases before the last d.Keep, but only what was deployed
// through this link, is in the directory of the new release, and no symlink there or in that
// of the link leads to. The current one and the one before stay. It returns what it has removed.
func (d *deploy) removeEarlier() (removed []string) {
	list, err := readReleases(d.link)
	if d.Keep == 0 || err != nil {
		return nil
	}
	parent := filepath.Dir(d.Release)
	inUse := append(linkTargets(filepath.Dir(d.link)), linkTargets(parent)...)
	logger := d.targets[0].pool.logger
	for _, dir := range slices.Clone(list[:max(0, len(list)-max(2, d.Keep))]) {
		if filepath.Dir(dir) != parent || slices.ContainsFunc(inUse, func(used string) bool { return used == dir || strings.HasPrefix(used, dir+string(filepath.Separator)) }) {
			continue
		}
		if err := os.RemoveAll(dir); err != nil {
			logger.Warn("cannot remove an earlier release", zap.String("release", dir), zap.Error(err))
			continue
		}
		removed = append(removed, dir)
		list = slices.DeleteFunc(list, func(known string) bool { return known == dir })
	}
	if len(removed) > 0 {
		logger.Info("earlier releases removed", zap.Strings("releases", removed))
		if err := writeReleases(d.link, list); err != nil {
			logger.Warn("cannot record the removal of releases", zap.String("link", d.link), zap.Error(err))
		}
	}
	return removed
}

// linkTargets returns the paths to which the symlinks in a directory lead.
func linkTargets(dir string) (targets []string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if e.Type()&os.ModeSymlink == 0 {
			continue
		}
		path := filepath.Join(dir, e.Name())
		if target, err := filepath.EvalSymlinks(path); err == nil {
			targets = append(targets, target)
		}
	}
	return targets
}
