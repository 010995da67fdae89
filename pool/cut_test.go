package pool

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/fastcgi"
)

// stuckBody gives nothing for as long as a client takes to leave.
type stuckBody struct{}

func (stuckBody) Read([]byte) (int, error) {
	time.Sleep(2 * time.Second)
	return 0, errors.New("the client has left")
}

// Whoever leaves in the middle of what he sends must not have the script put
// aside for others.
func TestQuarantine_NotForTruncatedBody(t *testing.T) {
	s := static(1)
	s.Quarantine = Quarantine{Deaths: 1, Window: time.Minute, Period: time.Minute}
	run(t, s, func(tt *tester) {
		ctx, cancel := context.WithCancel(context.Background())
		r := fastcgi.NewRequest()
		defer r.Free()
		r.Body, r.ContentLength = stuckBody{}, 1<<20
		time.AfterFunc(time.Second, cancel)
		if _, err := tt.Do(ctx, &Request{FastCGI: r, Info: Info{Method: "POST", Script: "/a.php"}}); !errors.Is(err, context.Canceled) {
			tt.Errorf("got %v, want that the client left", err)
		}
		tt.wantWorkers(1, 1)
		st := tt.Stats()
		if st.Exits[Abandoned] != 1 || st.Exits[Crashed] != 0 || len(st.Quarantined) != 0 || !st.LastCrash.Time.IsZero() {
			tt.Errorf("got exits %v, quarantine %v and crash %+v, want one abandoned worker", st.Exits, st.Quarantined, st.LastCrash)
		}
		if _, err := tt.get("/a.php"); err != nil {
			tt.Errorf("the script is not run: %v", err)
		}
	})
}
