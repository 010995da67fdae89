// Package devpage helps developers in their browser, while they work on an application:
//
//   - A page replaces an error without a text: it has what PHP has logged for the request,
//     and the lines of source around the error.
//   - A badge on pages that succeeded shows how much PHP has logged for them, and what.
//   - The browser loads a page again when a file of the application changes; if only style
//     sheets change, it replaces these.
//
// The application is not changed for it: the page gets one script element after its end.
// Without the option `dev` nothing of this is run.
//
// [Options] are the configuration; it has a [watcher] for each directory. [Response] is
// the http.ResponseWriter of one request. The browser's part is dev.js.
package devpage
