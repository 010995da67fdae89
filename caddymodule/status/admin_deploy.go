package status

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/mevdschee/caddy-php-pool/caddymodule/live"
)

// deploy switches the symlink of sites to another release, once that has been warmed up.
// GET shows the last deployment of each link.
func (Admin) deploy(w http.ResponseWriter, r *http.Request) error {
	if err := allow(w, r, http.MethodGet, http.MethodPost); err != nil {
		return err
	}
	if r.Method != http.MethodPost {
		return writeJSON(w, live.Deployments())
	}
	var d live.Deployment
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16))
	body.DisallowUnknownFields()
	if err := body.Decode(&d); err != nil {
		return caddy.APIError{
			HTTPStatus: http.StatusBadRequest,
			Err:        fmt.Errorf(`reading the body: %w: send JSON such as {"link": "/srv/current", "release": "/srv/releases/42"}`, err),
		}
	}
	state, err := live.Deploy(r.Context(), d)
	if err != nil {
		return changeError(err)
	}
	return writeJSON(w, state)
}
