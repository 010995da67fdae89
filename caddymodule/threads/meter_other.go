//go:build !linux

package threads

// meter is for Linux only.
type meter struct{}

func newMeter() (*meter, bool) { return nil, false }

func (*meter) sample() (sample, bool) { return sample{}, false }

func (*meter) close() {}
