package live

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mevdschee/caddy-php-pool/caddymodule/release"
)

// checkPaths checks the link and the release, and finds the pools.
func (d *deploy) checkPaths(ctx context.Context) error {
	var err error
	switch {
	case d.Rollback:
	case !filepath.IsAbs(d.Release):
		return fmt.Errorf("release %q: write the absolute path of a directory", d.Release)
	default:
		if d.Release, err = checkRelease(d.Release); err != nil {
			return err
		}
	}
	if d.Keep < 0 || d.Watch < 0 {
		return errors.New("keep and watch: write a number that is not negative")
	}
	if d.Link == "" {
		if d.Link, err = onlyLink(ctx, d.Warmup); err != nil {
			return err
		}
	}
	if !filepath.IsAbs(d.Link) {
		return fmt.Errorf("link %q: write the absolute path of the symlink that the root of the site leads through", d.Link)
	}
	if d.link, err = release.Canonical(d.Link); err != nil {
		return fmt.Errorf("link: %w: write the path of the symlink that the root of the site leads through", err)
	}
	if d.before, err = readLink(d.link); err != nil {
		return err
	}
	if d.Rollback {
		if d.Release, err = previousRelease(d.link, absoluteTarget(d.link, d.before)); err != nil {
			return err
		}
	}
	if dir := d.Release + string(filepath.Separator); strings.HasPrefix(d.link, dir) {
		return fmt.Errorf("release %s contains the link %s: write the directory of one release", d.Release, d.link)
	}
	return d.findTargets(ctx)
}

// checkRelease returns the path of a release without symlinks.
func checkRelease(path string) (string, error) {
	dir, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", fmt.Errorf("release: %w: write the directory of the release", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return "", fmt.Errorf("release: %w", err)
	}
	if !info.IsDir() {
		return "", fmt.Errorf("release %s is not a directory", path)
	}
	f, err := os.Open(dir)
	if err != nil {
		return "", fmt.Errorf("release: %w: let Caddy's user read it", err)
	}
	return dir, f.Close()
}

// readLink returns the target of a symlink, "" if it is missing. Anything else in its
// place is an error.
func readLink(link string) (string, error) {
	info, err := os.Lstat(link)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("link: %w", err)
	case info.Mode()&os.ModeSymlink == 0:
		return "", fmt.Errorf("link %s is a file or a directory, not a symlink: move it to a directory of releases, and make a symlink to it", link)
	}
	return os.Readlink(link)
}

// absoluteTarget returns the path to which a link leads, "" for a missing one.
func absoluteTarget(link, target string) string {
	if target == "" || filepath.IsAbs(target) {
		return target
	}
	return filepath.Join(filepath.Dir(link), target)
}

// newLink makes a symlink to target beside link, by another name. Renaming it replaces
// link in one step.
func newLink(link, target string) (string, error) {
	next := filepath.Join(filepath.Dir(link), "."+filepath.Base(link)+".next")
	if err := os.Remove(next); err != nil && !errors.Is(err, os.ErrNotExist) { // of a Caddy that was killed
		return "", linkError(link, err)
	}
	if err := os.Symlink(target, next); err != nil {
		return "", linkError(link, err)
	}
	return next, nil
}

func linkError(link string, err error) error {
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("%w: let Caddy's user write in %s", err, filepath.Dir(link))
	}
	return fmt.Errorf("making a symlink: %w", err)
}

// replaceLink makes the link lead to target, or removes it if target is empty.
func replaceLink(link, target string) error {
	if target == "" {
		return os.Remove(link)
	}
	next, err := newLink(link, target)
	if err != nil {
		return err
	}
	if err := os.Rename(next, link); err != nil {
		os.Remove(next) // the other error says more
		return linkError(link, err)
	}
	return nil
}

// probed holds what a request of a deployment would reach.
type probed struct {
	request warmupRequest
	pool    *Pool // nil if it would not reach PHP
	used    bool  // its root leads through the link
	roots   []string
	status  int
}

// probe sends the requests of a deployment as far as PHP. warmup replaces the option of
// the pools, whose default is /.
func probe(ctx context.Context, warmup []string, link, dir string) ([]probed, error) {
	activeWarmups.Add(1)
	defer activeWarmups.Add(-1)
	pools := All()
	slices.SortFunc(pools, func(a, b *Pool) int { return strings.Compare(a.Name, b.Name) })
	var list []probed
	seen := map[string]bool{}
	for _, p := range pools {
		plan, owner := p.Active()
		if plan == nil {
			continue
		}
		uris := warmup
		if len(uris) == 0 {
			uris = plan.Options.Warmup
		}
		if len(uris) == 0 {
			uris = []string{"/"}
		}
		requests, err := p.warmupRequests(owner, uris)
		if errors.Is(err, errNoSite) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, r := range requests {
			key := fmt.Sprintf("%p %s", r.server, r.url)
			if seen[key] {
				continue
			}
			seen[key] = true
			rel := &release.Release{Link: link, Dir: dir}
			w := &warmupRoute{release: rel}
			if err := w.request(ctx, plan.Settings.StartTimeout, r); err != nil {
				return nil, fmt.Errorf("%s: %w", r.url, err)
			}
			list = append(list, probed{r, w.pool, rel.Used(), rel.Roots(), w.status})
		}
	}
	return list, nil
}

// onlyLink returns the symlink that the roots of all sites lead through, if there is
// exactly one.
func onlyLink(ctx context.Context, warmup []string) (string, error) {
	list, err := probe(ctx, warmup, "", "")
	if err != nil {
		return "", err
	}
	var links []string
	for _, p := range list {
		for _, root := range p.roots {
			links = append(links, release.Links(root)...)
		}
	}
	slices.Sort(links)
	switch links = slices.Compact(links); len(links) {
	case 0:
		return "", fmt.Errorf("no root of a site leads through a symlink: %s", describeRoots(list))
	case 1:
		return links[0], nil
	}
	return "", fmt.Errorf("the roots of the sites lead through several symlinks: write --link with one of %s", strings.Join(links, ", "))
}

// describeRoots lists the roots for an error.
func describeRoots(list []probed) string {
	var roots []string
	for _, p := range list {
		roots = append(roots, p.roots...)
	}
	if len(roots) == 0 {
		return "no request has reached a php_pool; write --warmup with the path of a PHP page"
	}
	slices.Sort(roots)
	return "the roots are " + strings.Join(slices.Compact(roots), ", ")
}

// findTargets finds the pools whose sites lead through the link.
func (d *deploy) findTargets(ctx context.Context) error {
	list, err := probe(ctx, d.Warmup, d.link, d.Release)
	if err != nil {
		return err
	}
	targets := map[*Pool]*deployTarget{}
	used := false
	for _, p := range list {
		if !p.used {
			continue
		}
		used = true
		if p.pool == nil {
			if !d.Rollback && (p.status >= http.StatusInternalServerError || p.status == http.StatusNotFound || len(d.Warmup) > 0) {
				return fmt.Errorf("warmup %s: got status %d from Caddy, and PHP would not run: is the script missing in release %s?", p.request.url, p.status, d.Release)
			}
			continue
		}
		t := targets[p.pool]
		if t == nil {
			t = &deployTarget{pool: p.pool}
			targets[p.pool] = t
			d.targets = append(d.targets, t)
		}
		t.requests = append(t.requests, p.request)
	}
	switch {
	case !used:
		return fmt.Errorf("link %s: no root of a site leads through it: %s", d.link, describeRoots(list))
	case len(targets) == 0:
		return fmt.Errorf("link %s: no request has reached PHP: write --warmup with the path of a PHP page", d.link)
	}
	slices.SortFunc(d.targets, func(a, b *deployTarget) int { return strings.Compare(a.pool.Name, b.pool.Name) })
	for _, t := range d.targets {
		if err := t.pool.mayEnter(d.Release); err != nil {
			return fmt.Errorf("release %s: PHP of pool %s cannot read it: %w", d.Release, t.pool.Name, err)
		}
	}
	return nil
}

// mayEnter returns an error if PHP cannot enter the directory.
func (p *Pool) mayEnter(dir string) error {
	plan, _ := p.Active()
	if plan == nil {
		return ErrNotStarted
	}
	if err := plan.CheckConfined(dir); err != nil || plan.User == nil || plan.User.UID == 0 {
		return err
	}
	return plan.User.CheckTraverse(filepath.Join(dir, "x"))
}
