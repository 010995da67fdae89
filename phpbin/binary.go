package phpbin

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/mevdschee/caddy-php-pool/phpbin/internal/procfs"
)

// cgiSAPI is what php-cgi calls itself, whether it serves CGI or FastCGI.
const cgiSAPI = "cgi-fcgi"

// Binary is a php-cgi and what it said of itself, with the options it was asked
// with: another php.ini makes another Binary.
type Binary struct {
	// Path is where it is.
	Path string

	// Version and VersionText are the release; the text has what distributions
	// and release candidates add, "8.5.0RC1".
	Version     Version
	VersionText string

	// SAPI is "cgi-fcgi".
	SAPI string

	// ZTS says that PHP is built thread-safe, which php-cgi has no use for.
	ZTS bool

	// OPcache says that the extension is loaded and switched on; JIT that it
	// is on as well.
	OPcache, JIT bool

	// MemoryLimit is memory_limit in bytes; -1 if there is none.
	MemoryLimit int64

	// INIFile is the php.ini it reads, and INIPath the directory where it looks
	// for one; ScannedFiles are the additional ones, from the directories in
	// INIScanDir.
	INIFile      string
	INIPath      string
	INIScanDir   string
	ScannedFiles []string

	// Warnings are what it complained of: broken ini files, extensions that are
	// not there. It runs nevertheless.
	Warnings []string

	// Size, ModTime and Inode are those of the file that Path leads to.
	Size    int64
	ModTime time.Time
	Inode   uint64
}

// Features is what this php-cgi can do, by the names that php_pool's status
// shows.
type Features struct {
	OPcache bool // PHP 5.5
	JIT     bool // PHP 8.0
	Fibers  bool // PHP 8.1
}

// List names the features.
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

// Features returns what this release of PHP brings, whether or not it is
// switched on here.
func (b *Binary) Features() Features {
	return Features{
		OPcache: b.Version.AtLeast(5, 5),
		JIT:     b.Version.AtLeast(8, 0),
		Fibers:  b.Version.AtLeast(8, 1),
	}
}

// KeepsConnAfterGetValues reports whether a connection lives on after it has answered
// FCGI_GET_VALUES. Before 8.2.13 php-cgi closed it (php bug 76922).
func (b *Binary) KeepsConnAfterGetValues() bool { return b.Version.AtLeast(8, 2, 13) }

// ID identifies the file: it is another one when the file is replaced, as by a
// package upgrade.
func (b *Binary) ID() string {
	return fmt.Sprintf("%s:%d:%d:%d", b.Path, b.Size, b.ModTime.UnixNano(), b.Inode)
}

// INIFiles lists all ini files that were read.
func (b *Binary) INIFiles() []string {
	var files []string
	if b.INIFile != "" {
		files = append(files, b.INIFile)
	}
	return append(files, b.ScannedFiles...)
}

// INIDirs lists the directories in which another ini file would be found.
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
