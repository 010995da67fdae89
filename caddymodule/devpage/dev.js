// The browser's part of the option dev of php_pool: it loads the page again when a file
// of the application changes, and shows what PHP has logged for the page.
(() => {
  'use strict';
  const { version, messages } = document.currentScript.dataset;
  if (version) reloadOnChange(version);
  if (messages) showMessages(JSON.parse(messages));

  // Only a visible page waits for changes: with HTTP/1.1 a browser has six connections to a
  // server for all its tabs.
  function reloadOnChange(seen) {
    let source = null;
    const listen = () => {
      if (document.hidden || source) return;
      source = new EventSource('/.well-known/php_pool/dev/changes?version=' + encodeURIComponent(seen));
      source.addEventListener('reload', () => location.reload());
      source.addEventListener('style', (event) => {
        seen = event.lastEventId;
        reloadStyles();
      });
    };
    const stop = () => {
      if (source) source.close();
      source = null;
    };
    document.addEventListener('visibilitychange', () => (document.hidden ? stop() : listen()));
    addEventListener('pagehide', stop);
    addEventListener('pageshow', listen);
    listen();
  }

  // A sheet is replaced when the new one is there, so that the page does not flash.
  function reloadStyles() {
    for (const old of document.querySelectorAll('link[rel~="stylesheet"]')) {
      const url = new URL(old.href, location.href);
      if (url.origin !== location.origin) continue;
      url.searchParams.set('php_pool_dev', Date.now());
      const sheet = old.cloneNode();
      sheet.href = url.href;
      sheet.addEventListener('load', () => old.remove());
      sheet.addEventListener('error', () => sheet.remove());
      old.after(sheet);
    }
  }

  // A shadow tree with its own sheet: the styles of the page do not reach it, and neither
  // does a Content-Security-Policy without inline styles.
  function showMessages(list) {
    const count = list.reduce((sum, { times }) => sum + times, 0);
    const host = document.createElement('php-pool-dev');
    const root = host.attachShadow({ mode: 'open' });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(`
      details { position: fixed; right: 12px; bottom: 12px; z-index: 2147483647; max-width: min(60rem, calc(100vw - 24px));
        font: 14px/1.5 system-ui, sans-serif; color: #fff; background: #7d4e00; border-radius: 6px; box-shadow: 0 2px 8px #0006 }
      summary { cursor: pointer; padding: 4px 12px }
      ul { margin: 0; padding: 0 12px 8px 28px; max-height: 60vh; overflow: auto }
      li { margin: 4px 0; white-space: pre-wrap; overflow-wrap: anywhere; font-family: ui-monospace, monospace }
    `);
    root.adoptedStyleSheets = [sheet];
    const details = document.createElement('details');
    details.open = list.some(({ level }) => /error$/.test(level)); // the page is not complete
    const summary = document.createElement('summary');
    summary.textContent = count === 1 ? 'PHP: 1 message' : `PHP: ${count} messages`;
    const items = document.createElement('ul');
    for (const { level, message, times } of list) {
      const item = document.createElement('li');
      item.textContent = (level ? level + ': ' : '') + message + (times > 1 ? ` (${times} times)` : '');
      items.append(item);
    }
    details.append(summary, items);
    root.append(details);
    document.documentElement.append(host);
  }
})();
