<?php
// The page that `make run` shows: the version of PHP, its settings, its worker.
$opcache = function_exists('opcache_get_status') ? @opcache_get_status(false) : false;
$rows = [
    'PHP' => PHP_VERSION . ' (' . PHP_SAPI . ', ' . (PHP_ZTS ? 'ZTS' : 'NTS') . ')',
    'OPcache' => $opcache
        ? sprintf('on: %d scripts, %.1f MB used, %d hits', $opcache['opcache_statistics']['num_cached_scripts'],
            $opcache['memory_usage']['used_memory'] / 1048576, $opcache['opcache_statistics']['hits'])
        : 'off',
    'php.ini' => php_ini_loaded_file() ?: 'none',
    'Web server' => $_SERVER['SERVER_SOFTWARE'],
    'This worker' => 'pid ' . getmypid() . (function_exists('posix_geteuid')
        ? ', user ' . (posix_getpwuid(posix_geteuid())['name'] ?? posix_geteuid()) : ''),
];
?>
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>php_pool</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #8884; overflow-wrap: anywhere; }
td.number { font-variant-numeric: tabular-nums; }
.Running { color: #c60; }
</style>
</head>
<body>
<h1>PHP runs inside Caddy</h1>
<p>No php-fpm: Caddy started these workers itself, forked from one php-cgi.</p>
<table>
<?php foreach ($rows as $name => $value): ?>
<tr><th><?= htmlspecialchars($name) ?></th><td><?= htmlspecialchars($value) ?></td></tr>
<?php endforeach ?>
</table>
<h2>Live workers</h2>
<p id="pool">…</p>
<table>
<thead><tr><th>pid</th><th>state</th><th>requests</th><th>up</th><th>runs</th></tr></thead>
<tbody id="workers"></tbody>
</table>
<script>
async function refresh() {
  const pool = document.getElementById('pool');
  try {
    const answer = await fetch('/status?full&json');
    if (!answer.ok) throw new Error(answer.status);
    const s = await answer.json();
    pool.textContent = `pool ${s.pool} (${s['process manager']}): ${s['active processes']} busy, ` +
      `${s['idle processes']} idle, ${s['accepted conn']} requests, ${s['listen queue']} waiting`;
    document.getElementById('workers').replaceChildren(...(s.processes || []).map(p => {
      const row = document.createElement('tr');
      for (const text of [p.pid, p.state, p.requests, p['start since'] + ' s', p['request uri'] || '']) {
        const cell = row.insertCell();
        cell.textContent = text;
        cell.className = p.state + ' number';
      }
      return row;
    }));
  } catch (error) {
    pool.textContent = `The status is shown on this machine only (${error.message}).`;
  }
}
refresh();
setInterval(refresh, 1000);
</script>
</body>
</html>
