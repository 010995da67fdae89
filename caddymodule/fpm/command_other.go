//go:build !unix

package fpm

import "github.com/spf13/cobra"

// Command returns nil: php-fpm exists on Unix only.
func Command() *cobra.Command { return nil }
