package phpbin

// FileID returns the [Binary.ID] that [Detect] would give the file at path.
func FileID(path string) (string, error) {
	b := Binary{Path: path}
	if err := b.stat(); err != nil {
		return "", err
	}
	return b.ID(), nil
}

// MasterPID returns the pid of the master, which is its process group too.
func (s *Shared) MasterPID() int { return s.master.pid }

// Err returns how the master exited; nil while it runs, ErrClosed after Close.
func (s *Shared) Err() error {
	select {
	case <-s.closing:
		return ErrClosed
	default:
	}
	if s.master.alive() {
		return nil
	}
	return s.master.exitError()
}

// MasterPID returns 0: there is no master.
func (s *Single) MasterPID() int { return 0 }

// Err returns ErrClosed after Close.
func (s *Single) Err() error {
	select {
	case <-s.closing:
		return ErrClosed
	default:
		return nil
	}
}

// FreshMemory returns a Memory for which files count that were changed just now.
func FreshMemory(dir string) Memory { return Memory{Dir: dir, fresh: true} }

// MaxMemories is how many files a Memory keeps.
const MaxMemories = maxMemories
