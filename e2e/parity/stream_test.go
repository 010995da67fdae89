//go:build linux

package parity

import (
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// waitFor is PHP that waits for a file of the test, which continues creates.
const waitFor = `
$file = __DIR__ . '/../writable/' . $_GET['file'];
for ($i = 0; $i < 3000 && !file_exists("$file.go"); $i++) { clearstatcache(); usleep(5000); }
`

// waitBriefly is the same for scripts whose client may not get the first bytes before
// they have ended.
var waitBriefly = strings.Replace(waitFor, "3000", "40", 1)

// continues lets a script continue.
func continues(file string) func(*rig, side) {
	return func(r *rig, s side) { harness.WriteFile(r.T, r.writable(s, file)+".go", "") }
}

// runs waits until a script runs.
func runs(file string) func(*rig, side) {
	return func(r *rig, s side) {
		harness.Eventually(r.T, func() error { _, err := os.Stat(r.writable(s, file) + ".runs"); return err })
	}
}

// writable is the path of a file that scripts write.
func (r *rig) writable(s side, file string) string {
	return filepath.Join(r.Site, "writable", strings.ReplaceAll(file, "{side}", s.name()))
}

// wrote waits for a file of a script, and returns its content.
func wrote(file string) func(*rig, side) string {
	return func(r *rig, s side) string {
		for range 4000 {
			if content, err := os.ReadFile(r.writable(s, file)); err == nil && len(content) > 0 {
				return string(content)
			}
			time.Sleep(5 * time.Millisecond)
		}
		return "nothing was written"
	}
}

func streams() []request {
	flushed := `while (ob_get_level()) ob_end_flush(); echo "first"; flush();`
	stream := func(name, head string) request {
		file := strings.ReplaceAll(name, " ", "-") + "-{side}"
		wait := waitBriefly
		if strings.Contains(head, "event-stream") {
			wait = waitFor
		}
		return request{name: name, php: head + flushed + wait + `echo "second";`, target: "?file=" + file, during: continues(file)}
	}
	rows := []request{
		stream("flushed", ""),
		stream("events", `header('Content-Type: text/event-stream');`),
		stream("with a length", `header('Content-Length: 11');`),
		stream("unbuffered", `header('X-Accel-Buffering: no');`),
		stream("a status", `http_response_code(404);`),
	}
	var all []request
	for _, q := range rows {
		for _, p := range []proto{h1, h10, h2, h2c, h3} {
			q := q
			q.proto = p
			q.target = strings.Replace(q.target, "{side}", string(p)+"-{side}", 1)
			q.during = continues(strings.TrimPrefix(q.target, "?file="))
			all = append(all, q)
		}
	}
	for _, site := range []string{"encode", "headers", "handled", "intercept", "accel"} {
		q := rows[1]
		q.site = site
		q.target = strings.Replace(q.target, "{side}", site+"-{side}", 1)
		q.during = continues(strings.TrimPrefix(q.target, "?file="))
		all = append(all, q)
	}
	return append(all, aborts()...)
}

// aborts are requests whose client leaves.
func aborts() []request {
	// The script reports how it ended.
	report := func(before string) string {
		return `
$out = __DIR__ . '/../writable/' . $_GET['file'];
register_shutdown_function(function () use ($out) { file_put_contents("$out.new", 'status ' . connection_status() . ' aborted ' . connection_aborted() . ' ' . $GLOBALS['at']); rename("$out.new", $out); });
$at = 'start';
touch("$out.runs");
` + before
	}
	type script struct{ name, php string }
	scripts := []script{
		{"waits and writes", waitFor + `$at = 'waited'; for ($i = 0; $i < 1000; $i++) { echo str_repeat("x", 10000); flush(); usleep(1000); } $at = 'wrote all';`},
		{"ignores the abort", `ignore_user_abort(true);` + waitFor + `$at = 'waited'; for ($i = 0; $i < 50; $i++) { echo str_repeat("x", 10000); flush(); usleep(1000); } $at = 'wrote all';`},
		{"writes nothing", waitFor + `$at = 'waited';`},
	}
	var rows []request
	for _, sc := range scripts {
		file := strings.ReplaceAll(sc.name, " ", "-") + "-{side}"
		rows = append(rows, request{
			name: "the client leaves before the response, the script " + sc.name, php: report(sc.php), target: "?file=before-" + file,
			leave: leaveBeforeResponse, during: runs("before-" + file), after: afterLeaving("before-" + file),
		}, request{
			name: "the client leaves during the response, the script " + sc.name, php: report(`header('Content-Type: text/event-stream'); while (ob_get_level()) ob_end_flush(); echo "first"; flush();` + sc.php), target: "?file=during-" + file,
			leave: leaveDuringResponse, after: afterLeaving("during-" + file),
		})
	}
	for _, n := range []int{1, 1000} {
		rows = append(rows, request{
			name: "the client leaves during its body, after " + map[int]string{1: "a byte", 1000: "1000 bytes"}[n], method: "POST", target: "/see.php", fields: []string{formType},
			body: &body{data: strings.Repeat("a", 100_000), cut: n},
		})
	}
	return rows
}

// afterLeaving lets a script continue after its client has disconnected, and returns what it
// reports.
func afterLeaving(file string) func(*rig, side) string {
	return func(r *rig, s side) string {
		continues(file)(r, s)
		return wrote(file)(r, s)
	}
}
