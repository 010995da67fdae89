//go:build linux

package parity

// optionSites differ in variables, header fields and other options, and in what
// is configured before PHP.
var optionSites = map[string]string{
	"env": `
		root {$SITE}
		PHP {
			env CUSTOM "{http.request.method} {http.request.uri}"
			env EMPTY ""
			env HTTPS on
			env HTTP_X_SET by-env
			env HTTP_HOST other.test
			env SERVER_NAME named.test
			env SERVER_PORT 8443
			env REMOTE_ADDR 192.0.2.9
			env UMLAUT ü
			env NOTHING {http.request.header.X-Missing}
			env QUOTED "a \"b\" 'c'"
			env lower case
			env PHP_ADMIN 1
			env DOCUMENT_ROOT /elsewhere
		}
		file_server
	`,
	"env-script": `
		root {$SITE}
		PHP {
			env SCRIPT_FILENAME {$SITE}/front.php
		}
	`,
	"env-script-name": `
		root {$SITE}
		PHP {
			env SCRIPT_NAME /named.php
			env PATH_INFO /by-env
			env QUERY_STRING by=env
			env REQUEST_METHOD PATCH
			env REQUEST_URI /by/env?by=env
		}
	`,
	"trusting": `
		root {$SITE}
		PHP {
			trusted_proxies 127.0.0.0/8
		}
	`,
	"header-up": `
		root {$SITE}
		PHP {
			header_up X-Up "up {http.request.method}"
			header_up +X-More 1
			header_up +X-More 2
			header_up -X-Gone
			header_up -User-Agent
			header_up Host set.test
			header_up X-Replaced old new
			header_up Accept ^text html
		}
	`,
	"header-down": `
		root {$SITE}
		PHP {
			header_down X-Down down
			header_down +X-More 2
			header_down -X-Gone
			header_down -X-Powered-By
			header_down X-Replaced old new
			header_down Content-Type text/plain
			header_down Server other
		}
	`,
	"headers": `
		root {$SITE}
		header X-Site site
		header X-Script site
		header ?X-Default site
		header +X-More site
		header -X-Powered-By
		header -X-Gone
		header >X-Deferred site
		header Cache-Control no-store
		header Content-Security-Policy "default-src 'self'"
		header Server replaced
		PHP
		file_server
	`,
	"headers-before": `
		root {$SITE}
		route {
			header X-Script before
			header Set-Cookie before=1
			header Content-Type text/before
			header Vary Before
			PHP
		}
	`,
	"accel": `
		root {$SITE}
		PHP {
			@accel header X-Accel-Redirect *
			handle_response @accel {
				root {$SITE}/private
				rewrite {rp.header.X-Accel-Redirect}
				method GET
				file_server
			}
		}
	`,
	"handled": `
		root {$SITE}
		PHP {
			@redirects status 3xx
			handle_response @redirects {
				header X-Was {rp.status_code}
				copy_response 203
			}
			@broken status 5xx
			handle_response @broken {
				respond "handled {rp.status_code}" 502
			}
			@missing status 404
			handle_response @missing {
				copy_response_headers {
					include X-Script
				}
				respond "missing"
			}
		}
	`,
	"replaced-status": `
		root {$SITE}
		PHP {
			@broken status 5xx
			replace_status @broken 418
		}
	`,
	"intercept": `
		root {$SITE}
		intercept {
			@broken status 5xx
			handle_response @broken {
				respond "intercepted {resp.status_code} {resp.header.X-Script}"
			}
			@missing status 404
			handle_response @missing {
				rewrite * /static.txt
				file_server
			}
			@gone status 410
			handle_response @gone {
				copy_response 411
			}
			@teapot status 418
			replace_status @teapot 200
		}
		PHP
		file_server
	`,
	"intercept-php": `
		root {$SITE}
		intercept {
			@any status 404 500
			handle_response @any {
				rewrite * /error.php?code={resp.status_code}
				PHP
			}
		}
		PHP
		file_server
	`,
	"encode": `
		root {$SITE}
		encode gzip
		PHP
		file_server
	`,
	"templates": `
		root {$SITE}
		templates {
			mime text/html
		}
		PHP
		file_server
	`,
	"errors": `
		root {$SITE}
		PHP
		file_server
		handle_errors {
			respond "own page {err.status_code}"
		}
	`,
	"errors-php": `
		root {$SITE}
		PHP {
			index off
		}
		file_server
		handle_errors {
			rewrite * /error.php?code={err.status_code}
			PHP
		}
	`,
	"errors-limit": `
		root {$SITE}
		request_body {
			max_size 1KB
		}
		PHP
		handle_errors {
			rewrite * /error.php
			PHP
		}
	`,
	"error-directive": `
		root {$SITE}
		error /private/* 403
		PHP
		file_server
		handle_errors 403 {
			rewrite * /error.php
			PHP
		}
	`,
	"limited": `
		root {$SITE}
		request_body {
			max_size 10KB
		}
		PHP
	`,
	"buffered": `
		root {$SITE}
		PHP {
			request_buffers 16KB
			response_buffers 16KB
		}
	`,
	"flushing": `
		root {$SITE}
		PHP {
			flush_interval 1s
		}
	`,
	"method": `
		root {$SITE}
		PHP {
			method GET
		}
	`,
	"proxy-rewrite": `
		root {$SITE}
		PHP {
			rewrite /see.php?proxied
		}
	`,
	"authenticated": `
		root {$SITE}
		basic_auth {
			ada $2a$04$nWST08KeVguScRUFyqV5JeJfo2hcwDMNjUazIuNAYTIl4szuaVPdK
		}
		PHP
	`,
	"request-headers": `
		root {$SITE}
		request_header X-Set set
		request_header -X-Gone
		request_header Host set.test
		PHP
	`,
	"vars": `
		root {$SITE}
		vars x y
		map {path} {mapped} {
			/see.php "is see"
			default "other"
		}
		PHP {
			env MAPPED {mapped}
			env RELATIVE {http.matchers.file.relative}
			env VARS {vars.x}
			env REMAINDER {http.matchers.file.remainder}
			env TYPE {http.matchers.file.type}
		}
		respond "{http.matchers.file.relative} {http.matchers.file.type}"
	`,
	"in-route": `
		route {
			root {$SITE}
			try_files {path} {path}/ /index.php?{query}&p={path}
			PHP
			file_server
		}
	`,
	"canonical": `
		root {$SITE}
		redir /index.php / 301
		@slash path_regexp slash ^(.+)/$
		PHP
		file_server
	`,
}
