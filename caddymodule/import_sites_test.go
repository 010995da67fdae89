package caddymodule

import (
	"strings"
	"testing"
)

// TestImport_Caddyfile replaces php_fastcgi where a pool has the address.
func TestImport_Caddyfile(t *testing.T) {
	files := `-- /srv/php-fpm.conf --
[shop]
listen = /run/php/$pool.sock
pm = static
pm.max_children = 4
security.limit_extensions = .phtml
[blog]
listen = 9001
pm = static
pm.max_children = 2
`
	site := `# my sites
{
	email me@example.com
}

shop.example.com {
	root /srv/shop
	php_fastcgi @php unix//run/php/shop.sock {
		index index.phtml
	}
	file_server
}

blog.example.com {
	root /srv/blog
	php_fastcgi localhost:9001
}

other.example.com {
	php_fastcgi 10.0.0.2:9001
}
`
	want := `# my sites
{
	php_pool {
		pool shop {
			# /srv/php-fpm.conf:5: security.limit_extensions = .phtml: write split .phtml
			workers 4
		}

		pool blog {
			workers 2
		}
	}
	email me@example.com
}

shop.example.com {
	root /srv/shop
	php_pool @php {
		pool shop
		split .phtml
		index index.phtml
	}
	file_server
}

blog.example.com {
	root /srv/blog
	php_pool {
		pool blog
	}
}

other.example.com {
	# NOT IMPORTED: no pool of the files listens at this address
	php_fastcgi 10.0.0.2:9001
}
`
	result := convertFPM(t, files, []byte(site))
	if result.Caddyfile != want || len(result.Lost) != 0 {
		t.Errorf("lost %q, got\n%s", result.Lost, result.Caddyfile)
	}
	checkImported(t, result.Caddyfile)
	if got := adapt(t, strings.Replace(result.Caddyfile, "@php {", "{", 1)); strings.HasPrefix(got, "error") {
		t.Error(got)
	}
	result = convertFPM(t, files, []byte("http://localhost {\n}\n"))
	if !strings.HasPrefix(result.Caddyfile, "{\n\tphp_pool {\n") || !strings.HasSuffix(result.Caddyfile, "\t}\n}\n\nhttp://localhost {\n}\n") {
		t.Errorf("without global options got\n%s", result.Caddyfile)
	}
	if len(result.Lost) != 1 { // no site has the split
		t.Errorf("lost %q", result.Lost)
	}
}
