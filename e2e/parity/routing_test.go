//go:build linux

package parity

import "strings"

// targets are paths of every kind.
var targets = []string{
	// scripts, and what follows them
	"/", "/see.php", "/see.php?", "/see.php?a=b", "/see.php/", "/see.php/info", "/see.php/info/", "/see.php/in%20fo/ü?x=y", "/see.php/a/see.php/b",
	"/see.php//double", "/see.php/.", "/see.php/..", "/see.php/../front.php", "/see.php/%2e%2e/front.php", "/see.php/a/../b", "/see.php%2finfo", "/see.php/in%2ffo", "/see.php/%00",
	"/see.php%00", "/see.php%00.jpg", "/see%2ephp", "/%73ee.php", "/see.php%20", "/see.php.", "/see.php;x=1", "/see.php&a=b", "/see.php:x", "/see.php%3Fx", "/see.php%23x", "/SEE.PHP", "/See.php", "/see.PHP",
	"/UPPER.PHP", "/UPPER.PHP/info", "/upper.php", "/index.php", "/index.php/", "/index.php/info", "/index.php/sub/", "/front.php",
	// directories
	"/sub", "/sub/", "/sub?a=b", "/sub/?a=b", "/sub/index.php", "/sub/see.php", "/sub/see.php/info", "/sub/missing", "/sub/missing/", "/sub/missing.php", "/sub//", "/sub/.", "/sub/./", "/sub/..", "/sub/../", "/sub/../sub",
	"/sub/deep", "/sub/deep/", "/sub/deep/x", "/deep", "/deep/er", "/deep/er/and/deeper/see.php", "/empty", "/empty/", "/empty/x", "/files", "/files/", "/files/index.html", "/files/a.css", "/files/a.css/", "/files/a.css/x.php",
	"/dir.php", "/dir.php/", "/dir.php?a=b", "/dir.php/index.php", "/dir.php/x", "/noindex.php", "/noindex.php/", "/noindex.php/x", "/big.php", "/big.php.d", "/big.php.d/", "/big.php.d/see.php", "/big.php.d/see.php/info",
	"/info.php", "/info.php/see.php", "/info.php/see.php/", "/info.php/see.php/index.php", "/a/index.php", "/a/index.php/", "/a/index.php/see.php", "/b/index.php/", "/b/", "/a", "/a/", "/linkindex", "/linkindex/",
	"/sp%20ace", "/sp%20ace/", "/%C3%BCn%C3%AF", "/ünï/", "/app", "/app/", "/app/see.php", "/app/missing", "/app/see.php/info", "/app/sub/", "/app//see.php",
	// names
	"/a%20b.php", "/a+b.php", "/ü.php", "/%C3%BC.php", "/%c3%bc.php", "/%FC.php", "/plus+.php", "/plus%2B.php", "/per%25cent.php", "/per%cent.php", "/per%252e.php", "/per%2e.php", "/semi;colon.php", "/semi%3Bcolon.php", "/col:on.php",
	"/q%3Fmark.php", "/%23hash.php", "/back\\slash.php", "/back%5Cslash.php", "/amp&.php", "/star*.php", "/[list].php", "/%5Blist%5D.php", "/tilde~.php", "/%7Etilde.php", "/dot.php.", "/two.php.php", "/two.php", "/two.php.php/info",
	"/.hidden.php", "/.dir/see.php", "/.dir/", "/long/" + strings.Repeat("n", 200) + ".php", "/" + strings.Repeat("n", 300) + ".php", "/" + strings.Repeat("n/", 1000) + "x.php", "/" + strings.Repeat("long", 1000), "/see.php?" + strings.Repeat("q", 7000), "/see.php/" + strings.Repeat("i", 5000),
	"/img.jpg.php", "/x.php.txt", "/x.php.txt/see.php", "/static.php.txt", "/trailing%20.php", "/trailing .php", "/php", "/.php", "/x/.php", "/%2ephp",
	// missing
	"/missing", "/missing/", "/missing.php", "/missing.php/", "/missing.php/info", "/missing/see.php", "/missing/index.php", "/missing.txt", "/missing%20space", "/missing?a=b", "/missing%2Fslash", "/missing%00",
	// not clean
	"//", "//see.php", "///see.php", "//sub//see.php", "//sub", "//sub/", "/sub//see.php", "/./see.php", "/.", "/..", "/../see.php", "/../../etc/passwd", "/sub/../see.php", "/sub/../sub/", "/sub/%2e%2e/see.php", "/%2e%2e/see.php", "/sub/..%2fsee.php", "/sub%2f..%2fsee.php",
	"/sub%2fsee.php", "/sub%2Fsee.php", "/sub%2f", "/%2fsub", "/%2Fevil.test%2F..%2Fsub", "//evil.test/../sub", "/sub;x", "/sub%3bx/", "/sub/%2e", "/..%5c..%5csee.php", "/sub\\see.php", "/%5csub", "/see.php/../sub", "/see.php/../static.txt", "/static.txt/../see.php", "/missing/../see.php", "/missing.php/../see.php",
	// other files
	"/static.txt", "/static.txt/", "/static.txt/x", "/static.txt/see.php", "/static.txt/x.php", "/static%2etxt", "/static.txt?a=b", "/sub/static.txt", "/sub/static.txt/info", "/page.html", "/noext", "/noext/see.php", "/ü.txt", "/sp%20ace.txt", "/img.jpg", "/img.jpg/x.php", "/img.jpg/.php", "/img.jpg%00.php", "/img.jpg%00x.php", "/big.bin",
	"/phpinfo.txt", "/files/a.css?v=1", "/sub/index.html", "/other/static.txt", "/other/only.php", "/only.php", "/release1/", "/current/", "/current/see.php", "/private/secret.txt",
	// extensions
	"/old.php5", "/old.php5/info", "/OLD.PHP5", "/other.phtml", "/other.phtml/info", "/code.inc", "/see.phps", "/see.php.bak", "/phar.phar", "/see.php5", "/see.phtml", "/old.php", "/a.php~",
	// sensitive files
	"/.env", "/.htaccess", "/.well-known/acme", "/.git/config", "/.git/", "/composer.json", "/dump.sql", "/notes.md", "/vendor/see.php", "/vendor/", "/wp-content/uploads/see.php", "/uploads/see.php", "/uploads/missing.php", "/uploads/",
	// links and rights
	"/link.php", "/link.php/info", "/linkdir", "/linkdir/", "/linkdir/see.php", "/outside.php", "/dangling.php", "/loop.php", "/image.php", "/text.txt", "/unreadable.php", "/shut", "/shut/", "/shut/see.php",
	// not a path
	"*", "http://plain.test/see.php?x", "http://other.test/see.php", "/see.php#fragment", "/see.php?a=b?c=d", "/see.php??", "/?see.php", "/?/see.php", "/?a=%00", "/%", "/%zz", "/see.php/%", "see.php", "",
	"/{http.request.uri}", "/see.php/{env.HOME}", "/see.php?{http.request.host}", "/{path}", "/%7Bpath%7D.php", "/go/there?x=y", "/to-static", "/to-encoded", "/to-info", "/to-info?q",
}

// some are targets for sites that differ from plain in few ways.
var some = []string{
	"/", "/see.php", "/see.php?a=b", "/see.php/info?x", "/see.php/in%20fo/ü", "/SEE.PHP", "/index.php", "/index.php/info", "/front.php", "/sub", "/sub/", "/sub?a=b", "/sub/index.php", "/sub/see.php", "/sub/missing", "/sub/front.php", "/sub/deep/",
	"/empty", "/empty/", "/files", "/files/", "/dir.php", "/dir.php/", "/noindex.php/", "/big.php.d/see.php", "/missing", "/missing/", "/missing.php", "/missing.php/info", "/missing?a=b", "/static.txt", "/static.txt/x.php", "/static.txt/", "/sub/static.txt", "/page.html", "/img.jpg/x.php",
	"//see.php", "//sub", "/sub//", "/sub/../see.php", "/see.php/../static.txt", "/sub%2fsee.php", "/a%20b.php", "/ü.php", "/per%25cent.php", "/old.php5", "/old.php5/info", "/OLD.PHP5/info", "/other.phtml", "/see", "/sub/see", "/files/index",
	"/app", "/app/", "/app/see.php", "/app/sub", "/app/sub/", "/app/see.php/info", "/app/missing", "/app/missing.php", "/app/static.txt", "/other/only.php", "/only.php", "/other/static.txt", "/link.php", "/linkdir/", "/.hidden.php", "/unreadable.php",
	"/go/there?x=y", "/go/a%20b/ü", "/to-static", "/to-encoded", "/to-info", "/to-info?q", "/vendor/see.php", "/vendor//see.php", "/uploads/see.php", "/uploads/see.php/info", "/uploads/missing.php", "/private/secret.txt", "/private/see.php",
	"/%00", "/see.php%00", "/{path}", "/see.php?dir=sub", "/?dir=sub", "/missing?dir=sub", "/see.php?dir=..", "/?dir=nothing", "/?dir=sub/../other",
}

func routing() []request {
	rows := gets(targets...)
	rows = append(rows, onSites(gets(some...),
		"bare", "index-off", "index-front", "index-in-directory", "try-front", "try-path", "try-query", "try-directories", "try-html",
		"split", "split-upper", "inner-root", "link-root", "resolved-root", "dotted-root", "placeholder-root", "missing-root", "no-root",
		"handle-path", "strip-prefix", "rewritten", "matched", "path-matched", "twice", "guarded", "hidden-files", "browsed",
		"errors", "errors-php", "error-directive", "vars", "in-route", "canonical", "intercept", "intercept-php", "env-script",
	)...)
	for _, method := range []string{"HEAD", "POST", "OPTIONS", "PROPFIND"} {
		for _, q := range gets("/", "/sub", "/sub/", "/missing", "/missing.php", "/static.txt", "/empty/", "/%00", "/unreadable.php", "/see.php") {
			q.method = method
			rows = append(rows, q)
		}
	}
	return rows
}
