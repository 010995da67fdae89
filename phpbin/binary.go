package phpbin

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/mevdschee/caddy-php-pool/phpbin/internal/procfs"
)

// cgiSAPI is the name of php-cgi's SAPI, for CGI and FastCGI alike.
const cgiSAPI = "cgi-fcgi"

// Binary describes a php-cgi, as [Detect] found it with certain options: another
// php.ini makes another Binary.
type Binary struct {
	Path string

	// Version and VersionText are the release. The text includes the suffix of
	// distributions and release candidates: "8.5.0RC1".
	Version     Version
	VersionText string

	// SAPI is "cgi-fcgi".
	SAPI string

	// ZTS reports whether PHP is built thread-safe, which php-cgi does not need.
	ZTS bool

	// OPcache reports whether the extension is loaded and enabled, JIT whether its
	// compiler is enabled too.
	OPcache, JIT bool

	// Tracers are the loaded extensions that report every request to a debugger, a
	// profiler or a monitoring service, also those that are not the site's.
	Tracers []string

	// MemoryLimit is memory_limit in bytes; -1 means no limit.
	MemoryLimit int64

	// INIFile is the php.ini that was loaded, and INIPath the directory in which
	// PHP looks for one. ScannedFiles are the additional .ini files from the
	// directories in INIScanDir.
	INIFile      string
	INIPath      string
	INIScanDir   string
	ScannedFiles []string

	// Warnings are startup messages, as for a broken ini file or a missing
	// extension. php-cgi runs nevertheless.
	Warnings []string

	// UnknownINI are the ini settings of the options for which neither PHP nor a
	// loaded extension has a directive, sorted by name.
	UnknownINI []UnknownSetting

	settings map[string]string // see Setting

	extensionDir string // extension_dir
	unsteady     bool   // the next run may find something else: OPcache could not start

	// Size, ModTime and Inode belong to the file that Path resolves to.
	Size    int64
	ModTime time.Time
	Inode   uint64
}

// Setting returns the value of an ini directive as phpinfo() shows it. ok reports
// whether PHP has the directive, and whether it is one of those that are kept:
// auto_prepend_file, cgi.fix_pathinfo, disable_functions, fastcgi.logging, open_basedir,
// opcache.file_cache_only, opcache.preload_user, sendmail_path, xdebug.mode (Xdebug 3)
// and xdebug.remote_enable (Xdebug 2).
func (b *Binary) Setting(name string) (value string, ok bool) {
	value, ok = b.settings[name]
	return value, ok
}

// Features are the capabilities of a PHP release, by the names that php_pool's
// status shows.
type Features struct {
	OPcache bool // PHP 5.5
	JIT     bool // PHP 8.0
	Fibers  bool // PHP 8.1
}

// List returns the names of the features.
func (f Features) List() []string {
	var list []string
	for _, feature := range []struct {
		has  bool
		name string
	}{{f.OPcache, "opcache"}, {f.JIT, "jit"}, {f.Fibers, "fibers"}} {
		if feature.has {
			list = append(list, feature.name)
		}
	}
	return list
}

// Features returns what this release of PHP supports, whether or not it is
// enabled here.
func (b *Binary) Features() Features {
	return Features{
		OPcache: b.Version.AtLeast(5, 5),
		JIT:     b.Version.AtLeast(8, 0),
		Fibers:  b.Version.AtLeast(8, 1),
	}
}

// KeepsConnAfterGetValues reports whether php-cgi leaves a connection open after
// FCGI_GET_VALUES. Releases before 8.2.13 close it (php bug 76922).
func (b *Binary) KeepsConnAfterGetValues() bool { return b.Version.AtLeast(8, 2, 13) }

// ID identifies the file. It changes when the file is replaced, as by a package
// upgrade.
func (b *Binary) ID() string {
	return fmt.Sprintf("%s:%d:%d:%d", b.Path, b.Size, b.ModTime.UnixNano(), b.Inode)
}

// INIFiles lists all ini files that were loaded.
func (b *Binary) INIFiles() []string {
	var files []string
	if b.INIFile != "" {
		files = append(files, b.INIFile)
	}
	return append(files, b.ScannedFiles...)
}

// INIDirs lists the directories in which PHP looks for ini files.
func (b *Binary) INIDirs() []string {
	var dirs []string
	for _, dir := range append(filepath.SplitList(b.INIScanDir), b.INIPath) {
		if dir != "" {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

func (b *Binary) stat() error {
	info, err := os.Stat(b.Path)
	if err != nil {
		return err
	}
	b.Size, b.ModTime, b.Inode = info.Size(), info.ModTime(), procfs.Inode(info)
	return nil
}
