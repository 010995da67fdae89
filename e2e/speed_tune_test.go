//go:build linux && bench

package e2e

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"
)

var (
	tuneRounds   = flag.Int("tune.rounds", 7, "how often each setting is measured with each work in each life of PHP")
	tuneWorks    = flag.String("tune.works", "", "a regular expression: only the works that it matches")
	tuneVariants = flag.String("tune.variants", "", "a regular expression: only the settings that it matches")
)

// tuneWork is one thing that PHP is asked to do with every variant: three
// applications, a script that only computes, and one that does nothing.
type tuneWork struct {
	work
	// requests is how many make a slice of about an eighth of a second.
	requests int
}

var tuneWorkList = []tuneWork{
	{work{name: "WordPress", path: "/wp/", want: "<!DOCTYPE html>"}, 8},
	{work{name: "MediaWiki", path: "/mw/index.php?title=Main_Page", want: "<!DOCTYPE html>"}, 8},
	{work{name: "DokuWiki", path: "/dokuwiki/doku.php?id=wiki:syntax", want: "<!DOCTYPE html>"}, 60},
	{work{name: "2000 echoes", path: "/echo.php", want: "<td>0"}, 300},
	{work{name: "2 ms page", path: "/work.php", want: "worked\n", size: 7}, 50},
	{work{name: "hello", path: "/hello.php", want: "hello\n", size: 6}, 800},
}

// variant is PHP with lines of the Caddyfile more than PHP without a php.ini has,
// which is what the first one is. The second is the same once more: what it
// differs by is noise.
type variant struct {
	name  string
	lines string
	than  string // what it is compared with; default: nothing
}

// seldom is PHP as it is for a site that has less than one request in two seconds,
// the default of revalidate_freq: each of them looks at all scripts again.
const seldom = "revalidate_freq=0"

var tuneVariant = []variant{
	{"nothing", "", ""},
	{"nothing, again", "", ""},
	{"validate_timestamps=0", "ini opcache.validate_timestamps 0", ""},
	{seldom, "ini opcache.revalidate_freq 0", ""},
	{"revalidate_freq=60", "ini opcache.revalidate_freq 60", ""},
	{"seldom visited: revalidate_freq=60", "ini opcache.revalidate_freq 60", seldom},
	{"seldom visited: validate_timestamps=0", "ini opcache.validate_timestamps 0", seldom},
	{"fix_pathinfo=0", "ini cgi.fix_pathinfo 0", ""},
	{"validate_timestamps=0, fix_pathinfo=0", "ini opcache.validate_timestamps 0\nini cgi.fix_pathinfo 0", ""},
	{"enable_file_override=1", "ini opcache.enable_file_override 1", ""},
	{"jit=tracing, 64M", "ini opcache.jit tracing\nini opcache.jit_buffer_size 64M", ""},
	{"jit=function, 64M", "ini opcache.jit function\nini opcache.jit_buffer_size 64M", ""},
	{
		"memory_consumption=256, interned_strings_buffer=32, max_accelerated_files=32531",
		"ini opcache.memory_consumption 256\nini opcache.interned_strings_buffer 32\nini opcache.max_accelerated_files 32531", "",
	},
	{"save_comments=0", "ini opcache.save_comments 0", ""},
	{"huge_code_pages=1", "ini opcache.huge_code_pages 1", ""},
	{"realpath_cache_size=16M, ttl=3600", "ini realpath_cache_size 16M\nini realpath_cache_ttl 3600", ""},
	{"zend.assertions=-1", "ini zend.assertions -1", ""},
	{"zend.assertions=1", "ini zend.assertions 1", ""},
	{"output_buffering=4096", "ini output_buffering 4096", ""},
	{"variables_order=GPCS, register_argc_argv=0", "ini variables_order GPCS\nini register_argc_argv 0", ""},
	{"expose_php=0", "ini expose_php 0", ""},
	{"session.gc_probability=0", "ini session.gc_probability 0", ""},
	{"zend.enable_gc=0", "ini zend.enable_gc 0", ""},
	{"USE_ZEND_ALLOC_HUGE_PAGES=1", "process_env USE_ZEND_ALLOC_HUGE_PAGES 1", ""},
}

// TestTuning measures what PHP settings are worth: the processor time of the whole
// server, Caddy included, for each request, as a ratio to PHP without them.
func TestTuning(t *testing.T) {
	only := regexp.MustCompile(*tuneWorks)
	chosen := slices.DeleteFunc(slices.Clone(tuneWorkList), func(w tuneWork) bool { return !only.MatchString(w.name) })
	site := tuneSite(t, chosen)
	rivals := startVariants(t, site)
	for _, w := range chosen {
		costs := make([]pairs, len(rivals))
		for round := range tuneLives * *tuneRounds {
			if round%*tuneRounds == 0 {
				for _, r := range rivals {
					r.beginLife(t, w)
				}
			}
			for i, r := range rivals[1:] {
				// Side by side, so that what else the machine does hits both.
				var with, without time.Duration
				if round%2 == 0 {
					without, with = r.than.slice(t, w), r.slice(t, w)
				} else {
					with, without = r.slice(t, w), r.than.slice(t, w)
				}
				costs[i+1] = append(costs[i+1], [2]time.Duration{without, with})
			}
		}
		fmt.Printf("\n| %s: %.3f ms | CPU | of each life |\n|---|---|---|\n", w.name, costs[1].low(0).Seconds()*1000/float64(w.requests))
		for i, r := range rivals[1:] {
			var lives []float64
			for life := range slices.Chunk(costs[i+1], *tuneRounds) {
				lives = append(lives, life.ratio())
			}
			fmt.Printf("| %s | %.3f | %.3f |\n", r.name, middle(lives), lives)
		}
	}
	fmt.Print(room(rivals[0].server))
}

// tuneLives is how often PHP is started anew for each work: where its memory comes
// to lie can make a process faster or slower by several percent as long as it lives.
const tuneLives = 3

// beginLife starts new workers and warms them, until each has compiled the scripts
// and the JIT its traces.
func (r *rival) beginLife(t *testing.T, w tuneWork) {
	t.Helper()
	if res := r.server.admin("POST", "/php_pool/pools/"+tunePool+"/restart", ""); res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s: %s", r.name, res.Status, res.body)
	}
	checkAnswer(t, r, w.work)
	for range 8 {
		r.slice(t, w)
	}
	r.pids = nil
	for _, p := range r.kept[0].processes() {
		r.pids = append(r.pids, p.pid)
	}
}

// room says how much of PHP's caches, as large as they are by default, is used in
// the end.
func room(s *server) string {
	s.t.Helper()
	var cache struct {
		Scripts int
		Keys    int
		MaxKeys int `json:"max_keys"`
		Memory  struct {
			Used string `json:"used_human"`
		}
		Strings struct {
			Used string `json:"used_human"`
		} `json:"interned_strings"`
		Realpath struct {
			Used string `json:"used_human"`
		} `json:"realpath_cache"`
	}
	res := s.admin("GET", "/php_pool/pools/"+tunePool+"/opcache", "")
	if err := json.Unmarshal([]byte(res.body), &cache); err != nil {
		s.t.Fatalf("%s: %s: %v", res.Status, res.body, err)
	}
	return fmt.Sprintf("\nused: %d scripts, %d of %d keys, memory %s, strings %s, realpath cache %s\n", cache.Scripts, cache.Keys, cache.MaxKeys,
		cache.Memory.Used, cache.Strings.Used, cache.Realpath.Used)
}

const tunePool = "tuned"

// pairs are slices without and with a setting.
type pairs [][2]time.Duration

// low is what the slices without or with it took when little else disturbed them:
// what does so only ever adds.
func (p pairs) low(which int) time.Duration {
	var all []time.Duration
	for _, pair := range p {
		all = append(all, pair[which])
	}
	slices.Sort(all)
	return all[len(all)/4]
}

func (p pairs) ratio() float64 { return float64(p.low(1)) / float64(p.low(0)) }

// slice sends the requests of a slice, one after the other, and returns what
// processor time the server took for them.
func (r *rival) slice(t *testing.T, w tuneWork) time.Duration {
	t.Helper()
	before := r.exactCPU(t)
	for range w.requests {
		res, err := http.Get(r.url + w.path)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK || w.size > 0 && n != int64(w.size) {
			t.Fatalf("%s, %s: got %s, %d bytes, %v", r.name, w.name, res.Status, n, err)
		}
	}
	return r.exactCPU(t) - before
}

// exactCPU is the processor time of the server's threads, by the nanosecond.
func (r *rival) exactCPU(t *testing.T) time.Duration {
	t.Helper()
	var sum time.Duration
	for _, pid := range r.pids {
		dir := fmt.Sprintf("/proc/%d/task/", pid)
		tasks, err := os.ReadDir(dir)
		if err != nil {
			continue // one of the life before, which did nothing any more
		}
		for _, task := range tasks {
			var ns int64
			text, err := os.ReadFile(dir + task.Name() + "/schedstat")
			if err != nil {
				continue
			}
			if _, err := fmt.Sscan(string(text), &ns); err != nil {
				t.Fatal(err)
			}
			sum += time.Duration(ns)
		}
	}
	return sum
}

// startVariants starts a Caddy with a pool for the first variant and for each that
// is wanted.
func startVariants(t *testing.T, site string) (all []*rival) {
	t.Helper()
	empty := filepath.Join(tempDir(t), "php.ini")
	writeFile(t, empty, "")
	only := regexp.MustCompile(*tuneVariants)
	byName := map[string]*rival{}
	for i, v := range tuneVariant {
		if i > 1 && v.name != seldom && !only.MatchString(v.name) {
			continue
		}
		s := start(t, sharedLean, fmt.Sprintf(`
			http://127.0.0.1:{$PORT} {
				root {$SITE}
				PHP {
					name `+tunePool+`
					ini_file %s
					%s
				}
				file_server
			}
		`, empty, v.lines), options{site: site, workers: speedWorkers})
		r := rivalOf(t, s)
		r.name, r.than = v.name, byName[cmp.Or(v.than, tuneVariant[0].name)]
		all, byName[v.name] = append(all, r), r
	}
	return all
}

// tuneSite is the document root that all share.
func tuneSite(t *testing.T, chosen []tuneWork) string {
	t.Helper()
	site := speedScripts(t)
	writeFile(t, filepath.Join(site, "echo.php"), "<?php\nfor ($i = 0; $i < 2000; $i++) {\n    echo '<td>', $i, '</td>';\n}\n")
	for _, w := range chosen {
		switch w.name {
		case "WordPress":
			speedWordPress(t, filepath.Join(site, "wp"))
		case "MediaWiki":
			tuneMediaWiki(t, filepath.Join(site, "mw"))
		case "DokuWiki":
			tuneDokuWiki(t, filepath.Join(site, "dokuwiki"))
		}
	}
	giveToPHP(t, site)
	return site
}

// tuneDokuWiki installs DokuWiki and makes it a directory of a site, where a
// .user.ini says what startDokuWiki gives as an ini setting.
func tuneDokuWiki(t *testing.T, place string) {
	t.Helper()
	var wiki string
	dir := unpackDokuWiki(t)
	t.Run("installing DokuWiki", func(t *testing.T) {
		s := serveDokuWiki(t, sharedLean, dir)
		installDokuWiki(s)
		wiki = s.site
	})
	writeFile(t, filepath.Join(wiki, ".user.ini"), "auto_prepend_file = "+filepath.Join(dir, "place.php")+"\n")
	giveToPHP(t, dir)
	link(t, wiki, place)
}

// tuneMediaWiki installs Debian's MediaWiki by the installer that it has for a
// terminal, and makes it the directory mw of a site.
func tuneMediaWiki(t *testing.T, place string) {
	t.Helper()
	dir := unpack(t, "mediawiki", "mediawiki-classes")
	wiki := filepath.Join(dir, "var/lib/mediawiki")
	cache := filepath.Join(dir, "var/cache/mediawiki")
	socket := startMariaDB(t, "mediawiki")
	install := exec.Command("php", filepath.Join(wiki, "maintenance/install.php"),
		"--dbserver", "localhost:"+socket, "--dbname", "mediawiki", "--dbuser", "nobody", "--dbpass", "",
		"--scriptpath", "/mw", "--server", "http://127.0.0.1", "--pass", "a Secret & 1", "--skins", "Vector", "The Test Wiki", "Ada")
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("MediaWiki's installer: %v\n%s", err, out)
	}
	settings := filepath.Join(wiki, "LocalSettings.php")
	writeFile(t, settings, readFile(t, settings)+fmt.Sprintf("\n$wgCacheDirectory = '%s';\n", cache))
	giveToPHP(t, dir)
	link(t, wiki, place)
}
