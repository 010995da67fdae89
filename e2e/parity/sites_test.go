//go:build linux

package parity

import "maps"

// sites are the contents of site blocks, by the name of the site. The word PHP is the
// directive.
var sites = func() map[string]string {
	all := maps.Clone(routingSites)
	maps.Copy(all, optionSites)
	return all
}()

// routingSites differ in which script runs.
var routingSites = map[string]string{
	"plain": `
		root {$SITE}
		PHP
		file_server
	`,
	"bare": `
		root {$SITE}
		PHP
	`,
	"index-off": `
		root {$SITE}
		PHP {
			index off
		}
		file_server
	`,
	"index-front": `
		root {$SITE}
		PHP {
			index front.php
		}
		file_server
	`,
	"index-in-directory": `
		root {$SITE}
		PHP {
			index sub/index.php
		}
		file_server
	`,
	"try-front": `
		root {$SITE}
		PHP {
			try_files {path} {path}/index.php front.php
		}
		file_server
	`,
	"try-path": `
		root {$SITE}
		PHP {
			try_files {path} =404
		}
		file_server
	`,
	"try-query": `
		root {$SITE}
		PHP {
			try_files {path} /front.php?p={path}&{query}
		}
		file_server
	`,
	"try-directories": `
		root {$SITE}
		PHP {
			try_files {path} {path}/ index.php
		}
		file_server
	`,
	"try-html": `
		root {$SITE}
		PHP {
			try_files {path}.php {path} {path}/index.html
		}
		file_server
	`,
	"split": `
		root {$SITE}
		PHP {
			split .php .php5 .phtml
		}
		file_server
	`,
	"split-upper": `
		root {$SITE}
		PHP {
			split .PHP5
		}
		file_server
	`,
	"inner-root": `
		root {$SITE}
		PHP {
			root {$SITE}/other
		}
		file_server
	`,
	"link-root": `
		root {$SITE}/current
		PHP
		file_server
	`,
	"resolved-root": `
		root {$SITE}/current
		PHP {
			resolve_root_symlink
		}
		file_server
	`,
	"dotted-root": `
		root {$SITE}/sub/..
		PHP
		file_server
	`,
	"placeholder-root": `
		root {$SITE}/{query.dir}
		PHP
		file_server
	`,
	"missing-root": `
		root {$SITE}/nothing/here
		PHP
		file_server
	`,
	"no-root": `
		PHP {
			root {$SITE}
		}
		file_server
	`,
	"handle-path": `
		handle_path /app/* {
			root {$SITE}
			PHP
			file_server
		}
		respond "elsewhere"
	`,
	"strip-prefix": `
		root {$SITE}
		uri strip_prefix /app
		PHP
		file_server
	`,
	"rewritten": `
		root {$SITE}
		rewrite /go/* /see.php?to={path}
		rewrite /to-static /static.txt
		rewrite /to-encoded /a%20b.php
		rewrite /to-info /see.php/info{path}
		PHP
		file_server
	`,
	"matched": `
		root {$SITE}
		@php path /sub/* /see.php
		route {
			PHP @php
			respond "not PHP"
		}
	`,
	"path-matched": `
		root {$SITE}
		route {
			PHP /sub/*
			respond "not PHP"
		}
	`,
	"twice": `
		root {$SITE}
		PHP /sub/* {
			index front.php
		}
		PHP
		file_server
	`,
	"guarded": `
		root {$SITE}
		@no path /vendor/* /uploads/*.php
		respond @no "guarded" 403
		PHP
		file_server
	`,
	"hidden-files": `
		root {$SITE}
		PHP
		file_server {
			hide .env .git
			index index.html
		}
	`,
	"browsed": `
		root {$SITE}/files
		PHP
		file_server browse
	`,
}
