package doctor

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/mevdschee/caddy-php-pool/fastcgi"
	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// selfTest starts php-cgi as a worker, sends it a FastCGI request, and stops it.
func (c *check) selfTest(ctx context.Context, facts *PHP) {
	elapsed, err := c.startAndStop(ctx, c.shared)
	if c.shared && errors.Is(err, errors.ErrUnsupported) {
		c.note("write `spawn single`", "workers cannot be forked from one master here: %v", err)
		elapsed, err = c.startAndStop(ctx, false)
	}
	if err != nil {
		remedy := "fix the error that it reports; run `php-cgi -b 127.0.0.1:9000` in a shell to see its full output"
		if start, ok := errors.AsType[*phpbin.StartError](err); ok {
			if known := remedyFor(strings.Join(start.Stderr, "\n"), c.binary.INIFiles()); known != "" {
				remedy = known
			}
		}
		c.problem(remedy, "it does not work as a FastCGI worker: %v", err)
		return
	}
	facts.Start = elapsed.Seconds()
	c.ok("works as a FastCGI worker: responds %v after its start", elapsed.Round(time.Millisecond))
}

// startAndStop starts one worker, stops it, and returns how long the start took.
func (c *check) startAndStop(ctx context.Context, shared bool) (elapsed time.Duration, err error) {
	o := c.options
	o.Binary, o.Slots, o.ZTS = c.path, 1, c.binary.ZTS
	o.Output = nil
	o.Handshake = fastcgi.HandshakeFunc(c.binary.KeepsConnAfterGetValues())
	// Run no script of the site, and write to none of its logs.
	o.INI = append(append([]phpbin.Setting{}, o.INI...),
		phpbin.Setting{Name: "opcache.preload"}, phpbin.Setting{Name: "error_log"})
	start := time.Now()
	if shared {
		s, err := phpbin.StartShared(ctx, o)
		if err != nil {
			return 0, err
		}
		return time.Since(start), s.Close(ctx)
	}
	s, err := phpbin.StartSingle(ctx, o)
	if err != nil {
		return 0, err
	}
	defer func() {
		if closeErr := s.Close(ctx); err == nil {
			err = closeErr
		}
	}()
	p, err := s.Launch(ctx)
	if err != nil {
		return 0, err
	}
	elapsed = time.Since(start)
	return elapsed, p.Stop(ctx)
}
