//go:build linux

package security

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"mime/multipart"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// confined are the options of a Caddy and a PHP of the same user.
var confined = harness.Options{RunAs: harness.AsConfined}

// prepareConfined prepares a server with the scripts that try what is possible.
func prepareConfined(t *testing.T) *harness.Server {
	t.Helper()
	needsRoot(t)
	s := harness.Prepare(t, harness.SharedLean, confined)
	harness.CopyTree(t, s.Site, "testdata/customer")
	harness.ChownToPHP(t, s.Site)
	return s
}

// writeCertificate writes a self-signed certificate and its key to a directory outside
// of /tmp, which Caddy's user can read, and returns their paths.
func writeCertificate(t *testing.T, s *harness.Server) (certificate, key string) {
	t.Helper()
	dir, err := os.MkdirTemp("/var/lib", "php_pool-e2e-key-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotAfter: time.Now().AddDate(1, 0, 0), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	text, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	certificate, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	harness.WriteFile(t, certificate, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	harness.WriteFile(t, key, string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: text})))
	harness.Chown(t, dir, int(s.Options.UID), int(s.Options.UID))
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return certificate, key
}

// TestConfine_ScriptCannotReachCaddy has a script of Caddy's own user try to reach
// Caddy: confined, and with confine off, where all of it succeeds.
func TestConfine_ScriptCannotReachCaddy(t *testing.T) {
	t.Parallel()
	for name, option := range map[string]string{"confined": "", "off": "confine off"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := prepareConfined(t)
			certificate, key := writeCertificate(t, s)
			clientCertificate, clientKey := writeCertificate(t, s)
			authority, authorityKey := writeCertificate(t, s)
			// Not all of its directories, as by default: each path is to be hidden by itself.
			s.Options.Env = []string{"CREDENTIALS_DIRECTORY=" + filepath.Join(s.Home, "credentials")}
			data := filepath.Join(s.Home, "data", "caddy")
			files := map[string]string{
				"key": key, "client key": clientKey, "authority key": authorityKey, "token": filepath.Join(s.Home, "tokens", "token"), "data": data + "/secret", "config": filepath.Join(s.Home, "config", "caddy", "autosave.json"),
				"credential": filepath.Join(s.Home, "credentials", "token"),
				"storage":    filepath.Join(s.Home, "storage", "certificates", "a.key"),
			}
			for _, file := range files {
				if !strings.HasSuffix(file, "/key.pem") {
					harness.WriteFile(t, file, "secret")
				}
			}
			harness.WriteFile(t, data+"/junk", "")
			harness.WriteFile(t, data+"/other", "")
			harness.Chown(t, s.Home, int(s.Options.UID), int(s.Options.UID))
			// It ends with this process, and is outside of the confinement.
			abstract := fmt.Sprintf("php_pool-e2e-%d-%s", os.Getpid(), name)
			l, err := net.Listen("unix", "@"+abstract)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			s.Options.Global = "admin 127.0.0.1:{$PORT2}\nauto_https off\nstorage file_system " + filepath.Join(s.Home, "storage") +
				"\npki {\nca other {\nroot {\ncert " + authority + "\nkey " + authorityKey + "\n}\n}\n}\n"
			site := harness.PoolSite(harness.SharedLean, "workers 1", option)
			https := harness.FreePort(t)
			site += fmt.Sprintf("\nhttps://localhost:%d {\ntls %s %s\nrespond /token {file.%s}\n"+
				"reverse_proxy https://127.0.0.1:9 {\ntransport http {\ntls_client_auth %s %s\n}\n}\n}\n", https, certificate, key, files["token"], clientCertificate, clientKey)
			if err := s.Run(site); err != nil {
				t.Fatal(err)
			}
			query := url.Values{
				"pid": {strconv.Itoa(s.PID)}, "port": {strconv.Itoa(s.Port + 1)}, "other": {strconv.Itoa(s.Port)},
				"dir": {data}, "abstract": {abstract},
			}
			for name, file := range files {
				query.Set("file["+name+"]", file)
			}
			var done map[string]bool
			customer{Server: s}.query("attack.php", query, &done)
			if len(done) < 30 {
				t.Fatalf("it tried only %v", done)
			}
			for what, succeeded := range done {
				if want := name == "off" || what == "connects to another port"; succeeded != want {
					t.Errorf("%s: %t, want %t", what, succeeded, want)
				}
			}
			const weak = "so scripts can read everything that Caddy can"
			if name == "off" {
				if n := len(s.Logged("PHP runs as the same user as Caddy, and is confined")); n != 0 || !s.HasLogged(weak) {
					t.Error("the warning is missing")
				}
				return
			}
			logged := s.Logged("PHP runs as the same user as Caddy, and is confined")
			if len(logged) != 1 || logged[0]["level"] != "info" || s.HasLogged(weak) || s.HasLogged("leaves gaps") {
				t.Fatalf("got %v, want one message, and no warning", logged)
			}
			unreachable := fmt.Sprint(logged[0]["unreachable"])
			for _, word := range []string{
				key, clientKey, authorityKey, files["token"], data, s.Home + "/config/caddy", s.Home + "/credentials", s.Home + "/storage/certificates", "memory", "signals", "admin",
			} {
				if !strings.Contains(unreachable, word) {
					t.Errorf("%s is not in %s", word, unreachable)
				}
			}
			if _, err := os.ReadFile(key); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestConfine_ScriptCanWork runs what applications do, and a worker script.
func TestConfine_ScriptCanWork(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := prepareConfined(t)
		harness.WriteFile(t, filepath.Join(s.Site, "preload.php"), "<?php function preloaded() { return 'preloaded'; }\n")
		harness.WriteFile(t, filepath.Join(s.Site, "worker.php"), "<?php while (frankenphp_handle_request(function () { echo 'worked'; })) {}\n")
		site := harness.PoolSite(b, "ini opcache.preload {$SITE}/preload.php", "ini opcache.jit tracing", "ini opcache.jit_buffer_size 16M",
			"ini opcache.enable 1", "process_env TMPDIR {$DIR}/tmp", "worker worker.php")
		s.Options.Global = "admin 127.0.0.1:{$PORT2}" // whose rules must not deny anything else
		if err := os.Mkdir(filepath.Join(s.Dir, "tmp"), 0o777); err != nil {
			t.Fatal(err)
		}
		harness.Chown(t, filepath.Join(s.Dir, "tmp"), int(s.Options.UID), int(s.Options.UID))
		if err := s.Run(site); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			var failed []string
			customer{Server: s}.query("work.php", nil, &failed)
			if len(failed) != 0 {
				t.Errorf("what failed: %q", failed)
			}
		}
		s.Get("/worker.php").Want(t, 200, "worked")
		var body bytes.Buffer
		form := multipart.NewWriter(&body)
		form.WriteField("field", "value")
		part, err := form.CreateFormFile("file", "a.txt")
		if err != nil {
			t.Fatal(err)
		}
		part.Write([]byte("uploaded"))
		form.Close()
		res := s.Do(s.Request("POST", "/upload.php", &body, "Content-Type: "+form.FormDataContentType()))
		if sum := fmt.Sprintf("%x", sha256.Sum256([]byte("uploaded"))); !strings.Contains(res.Text, sum) {
			t.Errorf("the upload: got %s %q", res.Status, res.Text)
		}
	})
}

// TestConfine_UnixAdminIsReachable checks what the log, the status and PHP say of a
// Unix socket, which Landlock does not cover.
func TestConfine_UnixAdminIsReachable(t *testing.T) {
	t.Parallel()
	s := prepareConfined(t)
	if err := s.Run(harness.PoolSite(harness.SharedLean, "workers 1")); err != nil {
		t.Fatal(err)
	}
	harness.WriteFile(t, filepath.Join(s.Site, "admin.php"), "<?php echo @stream_socket_client('unix://"+s.Dir+"/admin.sock') ? 'connected' : 'refused';")
	s.Get("/admin.php").Want(t, 200, "connected")
	if !s.HasLogged("confine leaves gaps") || !s.HasLogged("scripts can connect to the admin endpoint unix/"+s.Dir+"/admin.sock") {
		t.Error("the gap is not logged")
	}
	var status struct {
		PHP struct {
			Confined struct {
				Off                  string
				Hidden, Denied, Gaps []string
			}
		}
	}
	if err := json.Unmarshal([]byte(s.Admin("GET", "/php_pool/pools/main", "").Text), &status); err != nil {
		t.Fatal(err)
	}
	c := status.PHP.Confined
	if c.Off != "" || len(c.Gaps) != 1 || !slices.Contains(c.Hidden, s.Home+"/data/caddy") || !slices.Equal(c.Denied, []string{"memory", "signals"}) {
		t.Errorf("got %+v", c)
	}
}

// TestConfine_Generation keeps the workers in a reload that changes nothing, and replaces
// them when the admin endpoint moves, which the old ones could reach.
func TestConfine_Generation(t *testing.T) {
	t.Parallel()
	s := prepareConfined(t)
	site := harness.PoolSite(harness.SharedLean, "workers 1")
	if err := s.Run(site); err != nil {
		t.Fatal(err)
	}
	before := s.Pool()
	s.MustReload(site)
	s.WantUnchanged(before)
	s.MustReload(harness.PoolSite(harness.SharedLean, "workers 1", "confine off"))
	s.WaitPool("another generation", func(p harness.PoolStatus) bool { return p.Generation > before.Generation })
	customer := customer{Server: s}
	var state map[string]string
	customer.query("state.php", nil, &state)
	if state["NoNewPrivs"] != "0" {
		t.Errorf("got NoNewPrivs %s after confine off", state["NoNewPrivs"])
	}
}

// TestConfine_PrivilegedMailer leaves PHP as it was where mail() needs a setgid program,
// unless the config says otherwise.
func TestConfine_PrivilegedMailer(t *testing.T) {
	t.Parallel()
	for option, want := range map[string]string{"": "0", "confine": "1"} {
		s := prepareConfined(t)
		mailer := filepath.Join(s.Dir, "sendmail")
		harness.WriteFile(t, mailer, "#!/bin/sh\ncat >/dev/null\n")
		if err := os.Chmod(mailer, 0o755|os.ModeSetgid); err != nil {
			t.Fatal(err)
		}
		if err := s.Run(harness.PoolSite(harness.SharedLean, "workers 1", `ini sendmail_path "`+mailer+` -t"`, option)); err != nil {
			t.Fatal(err)
		}
		var state map[string]string
		customer{Server: s}.query("state.php", nil, &state)
		if state["NoNewPrivs"] != want {
			t.Errorf("%q: got NoNewPrivs %s, want %s", option, state["NoNewPrivs"], want)
		}
		if warned := s.HasLogged("mail() would fail: " + mailer + " is a setuid or setgid program"); warned != (option == "") {
			t.Errorf("%q: warned: %t", option, warned)
		}
	}
}

// TestConfine_NewDirectory runs a script in a directory that was created beside a hidden
// one after PHP was confined: the error says so, and a restart helps.
func TestConfine_NewDirectory(t *testing.T) {
	t.Parallel()
	s := prepareConfined(t)
	s.Options.Env = nil // hides the directory data/caddy alone, and so everything in its parents is listed
	harness.WriteFile(t, filepath.Join(s.Home, "old", "index.php"), "<?php echo 'old';")
	if err := s.Run("http://127.0.0.1:{$PORT} {\nroot " + s.Home + "\nphp_pool {\nname main\nworkers 1\n}\n}\n"); err != nil {
		t.Fatal(err)
	}
	s.Get("/old/index.php").Want(t, 200, "old")
	harness.WriteFile(t, filepath.Join(s.Home, "new", "index.php"), "<?php echo 'new';")
	s.Get("/new/index.php").Want(t, 403, "")
	entry := s.WaitLogged("PHP may not read the script", 1)
	if text := fmt.Sprint(entry["error"]); !strings.Contains(text, s.Home+"/new was created or replaced after PHP was confined") || !strings.Contains(text, "restart the pool") {
		t.Errorf("got %s", text)
	}
	s.Admin("POST", "/php_pool/pools/main/restart", "").Want(t, 200, "")
	s.Get("/new/index.php").Want(t, 200, "new")
}

// TestConfine_KernelWithoutLandlock runs a Caddy that the kernel refuses Landlock, as
// in a container with such a filter.
func TestConfine_KernelWithoutLandlock(t *testing.T) {
	t.Parallel()
	needsRoot(t)
	o := confined
	o.NoLandlock = true
	s := harness.Prepare(t, harness.SharedLean, o)
	if err := s.Run(harness.PoolSite(harness.SharedLean, "workers 1")); err != nil {
		t.Fatal(err)
	}
	s.Get("/hello.php").Want(t, 200, "hello\n")
	if !s.HasLogged("so scripts can read everything that Caddy can") || !s.HasLogged("the kernel does not allow Landlock") {
		t.Error("the warning is missing")
	}
	demanding := harness.Prepare(t, harness.SharedLean, o)
	err := demanding.Run(harness.PoolSite(harness.SharedLean, "workers 1", "confine"))
	if err == nil {
		t.Fatal("confine was accepted")
	}
	harness.WantMessage(t, err, []string{"confine: the kernel does not allow Landlock", "remove confine"})
}

// TestConfine_Doctor checks what doctor says of a pool that is confined.
func TestConfine_Doctor(t *testing.T) {
	t.Parallel()
	s := prepareConfined(t)
	for line, want := range map[string][]string{
		"":            {"and is confined: scripts cannot reach ", s.Home + "/data/caddy", "scripts can connect to the admin endpoint unix/", "localhost:2019"},
		"confine off": {"scripts can read everything that Caddy can", "(confine: confine is off)"},
	} {
		config := filepath.Join(s.Dir, "Caddyfile")
		harness.WriteFile(t, config, s.Config(harness.PoolSite(harness.SharedLean, "workers 1", line)))
		c := s.Command("php-pool", "doctor", "--config", config)
		c.Log = filepath.Join(s.Dir, "doctor"+strings.ReplaceAll(line, " ", "-"))
		harness.Supervise(t, c).Wait(harness.MaxWait)
		text := strings.Join(strings.Fields(harness.ReadFile(t, c.Log)), " ")
		for _, part := range want {
			if !strings.Contains(text, part) {
				t.Errorf("%q: doctor does not say %q:\n%s", line, part, text)
			}
		}
	}
}
