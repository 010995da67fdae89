//go:build linux

package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// bodyReport says what a script gets of a body. It is included by a worker script and by
// an ordinary one.
const bodyReport = `<?php
$input = fopen('php://input', 'r');
$hash = hash_init('sha256');
$n = hash_update_stream($hash, $input);
$files = [];
foreach ($_FILES as $name => $f) {
	$files[$name] = [$f['name'], $f['type'], $f['error'], $f['size'], is_uploaded_file($f['tmp_name']), $f['error'] ? null : hash_file('sha256', $f['tmp_name'])];
}
echo json_encode([$n, hash_final($hash), $_SERVER['CONTENT_LENGTH'] ?? null, $_SERVER['CONTENT_TYPE'] ?? null, $_POST, $files]);
`

// TestWorker_Bodies sends bodies of all sizes, with their length and without, to a worker
// script and to an ordinary one. Both get the same.
func TestWorker_Bodies(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		options := []string{"ini post_max_size 0", "ini upload_max_filesize 200M"}
		s := startWorker(t, b, workerSiteWith(b, options, "num 1"), map[string]string{
			"index.php": `<?php while (frankenphp_handle_request(function () { include __DIR__ . '/../report.php'; })) {}`,
			"plain.php": `<?php include __DIR__ . '/../report.php';`, "../report.php": bodyReport,
		})
		lengths := func(size int) []bool {
			if size < 100_000_000 {
				return []bool{false, true}
			}
			return []bool{b.Proxy} // takes seconds
		}
		// A byte more than a buffer of 64 KiB has, and 100 MB, which is stored in a file.
		for _, size := range []int{0, 1, 65535, 65536, 65537, 1_000_000, 100_000_000} {
			content := harness.Pattern(size)
			sum := sha256.Sum256(content)
			for _, chunked := range lengths(size) {
				send := func(path string) string {
					body := io.Reader(bytes.NewReader(content))
					if chunked {
						body = struct{ io.Reader }{body}
					}
					res := s.Do(s.Request("PUT", path, body, "Content-Type: application/octet-stream"))
					res.WantContains(t, 200, fmt.Sprintf(`[%d,"%s",`, size, hex.EncodeToString(sum[:])))
					return res.Text
				}
				if got, want := send("/"), send("/plain.php"); got != want {
					t.Errorf("%d bytes, chunked %t: a worker script gets %s, an ordinary one %s", size, chunked, got, want)
				}
			}
		}

		content := harness.Pattern(100_000_000)
		sum := sha256.Sum256(content)
		var form bytes.Buffer
		w := multipart.NewWriter(&form)
		file, err := w.CreateFormFile("film", "a film.mp4")
		if err == nil {
			_, err = file.Write(content)
		}
		if err == nil {
			err = w.WriteField("title", "ü")
		}
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		upload, err := json.Marshal([]any{"a film.mp4", "application/octet-stream", 0, len(content), true, hex.EncodeToString(sum[:])})
		if err != nil {
			t.Fatal(err)
		}
		for _, chunked := range lengths(form.Len()) {
			send := func(path string) string {
				body := io.Reader(bytes.NewReader(form.Bytes()))
				if chunked {
					body = struct{ io.Reader }{body}
				}
				res := s.Do(s.Request("POST", path, body, "Content-Type: "+w.FormDataContentType()))
				res.WantContains(t, 200, `{"title":"\u00fc"},{"film":`)
				return res.Text
			}
			got, want := send("/"), send("/plain.php")
			if got != want {
				t.Errorf("upload, chunked %t: a worker script gets %s, an ordinary one %s", chunked, got, want)
			}
			if !bytes.Contains(bytes.ReplaceAll([]byte(got), []byte(`\/`), []byte("/")), upload) {
				t.Errorf("upload, chunked %t: got %s, want %s", chunked, got, upload)
			}
		}
		s.WantNoneFailed()
	})
}
