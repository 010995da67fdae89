package doctor

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/mevdschee/caddy-php-pool/fastcgi"
	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// works starts php-cgi as a worker, asks it over FastCGI, and stops it.
func (c *checkup) works(ctx context.Context, facts *PHP) {
	took, err := c.try(ctx, c.shared)
	if c.shared && errors.Is(err, errors.ErrUnsupported) {
		c.note("write `spawn single`: a php-cgi for each worker", "workers cannot be forked from one master here: %v", err)
		took, err = c.try(ctx, false)
	}
	if err != nil {
		cure := "see what it says; `php-cgi -b 127.0.0.1:9000` run by hand shows all of it"
		if start, ok := errors.AsType[*phpbin.StartError](err); ok {
			if known := cureOf(strings.Join(start.Stderr, "\n"), c.binary.INIFiles()); known != "" {
				cure = known
			}
		}
		c.problem(cure, "it does not work as a FastCGI worker: %v", err)
		return
	}
	facts.Start = took.Seconds()
	c.ok("works as a FastCGI worker: answers %v after its start", took.Round(time.Millisecond))
}

// try starts one worker and returns how long that took.
func (c *checkup) try(ctx context.Context, shared bool) (took time.Duration, err error) {
	o := c.options
	o.Binary, o.Slots, o.ZTS = c.path, 1, c.binary.ZTS
	o.Stderr = nil
	o.Handshake = func(ctx context.Context, conn net.Conn) error { return fastcgi.NewConn(conn).Handshake(ctx) }
	if !c.binary.KeepsConnAfterGetValues() {
		o.Handshake = func(ctx context.Context, conn net.Conn) error { return fastcgi.NewConn(conn).PingRequest(ctx) }
	}
	// A script of the site's is not for us to run, nor a log to write to.
	o.INI = append(append([]phpbin.Setting{}, o.INI...),
		phpbin.Setting{Name: "opcache.preload"}, phpbin.Setting{Name: "error_log"})
	begun := time.Now()
	if shared {
		s, err := phpbin.StartShared(ctx, o)
		if err != nil {
			return 0, err
		}
		return time.Since(begun), s.Close(ctx)
	}
	s, err := phpbin.StartSingle(ctx, o)
	if err != nil {
		return 0, err
	}
	defer func() {
		if closing := s.Close(ctx); err == nil {
			err = closing
		}
	}()
	p, err := s.Launch(ctx)
	if err != nil {
		return 0, err
	}
	took = time.Since(begun)
	return took, p.Stop(ctx)
}
