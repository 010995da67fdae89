// Package clients decides which clients may see the pages for administrators and
// developers: those of this machine, and those whose address is in a list. A client that
// only says that it is one of them, in a header, is not.
package clients
