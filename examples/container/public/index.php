<!doctype html>
<meta charset="utf-8">
<title>Caddy runs PHP</title>
<h1>Caddy runs PHP <?= PHP_VERSION ?></h1>
<p>Put your application into <code>/app</code>, with its <code>index.php</code> in <code>/app/public</code>.</p>
