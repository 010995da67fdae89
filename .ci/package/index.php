<!doctype html>
<meta charset="utf-8">
<title>Caddy runs PHP</title>
<h1>Caddy runs PHP <?= PHP_VERSION ?></h1>
<p>Put your site into a directory, and name it in <code>/etc/caddy/Caddyfile</code>.</p>
