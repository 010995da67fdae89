package phpbin_test

import (
	"context"
	"testing"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

func benchOptions(b *testing.B) phpbin.Options {
	b.Helper()
	path, err := phpbin.Find("")
	if err != nil {
		b.Fatal(err)
	}
	return phpbin.Options{Binary: path, Slots: 16, Handshake: handshake}
}

// BenchmarkStartShared measures a start up to the first response.
func BenchmarkStartShared(b *testing.B) {
	o := benchOptions(b)
	for b.Loop() {
		l, err := phpbin.StartShared(context.Background(), o)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := l.Close(context.Background()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// BenchmarkLaunchShared launches workers that the master has forked in advance.
func BenchmarkLaunchShared(b *testing.B) {
	l, err := phpbin.StartShared(context.Background(), benchOptions(b))
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close(context.Background())
	benchLaunch(b, l)
}

func BenchmarkLaunchSingle(b *testing.B) {
	l, err := phpbin.StartSingle(context.Background(), benchOptions(b))
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close(context.Background())
	benchLaunch(b, l)
}

func benchLaunch(b *testing.B, l phpLauncher) {
	b.Helper()
	for b.Loop() {
		p, err := l.Launch(context.Background())
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := p.Stop(context.Background()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// BenchmarkReplaceShared has one slot, so each launch waits for the master to fork.
func BenchmarkReplaceShared(b *testing.B) {
	o := benchOptions(b)
	o.Slots = 1
	l, err := phpbin.StartShared(context.Background(), o)
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close(context.Background())
	benchLaunch(b, l)
}
