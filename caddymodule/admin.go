package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

func init() { caddy.RegisterModule(Admin{}) }

// Admin adds the pools to Caddy's admin API.
type Admin struct{}

// CaddyModule returns the Caddy module information.
func (Admin) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.php_pool", New: func() caddy.Module { return new(Admin) }}
}

// Routes are those below /php_pool/.
func (a Admin) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{
		{Pattern: "/php_pool/pools", Handler: caddy.AdminHandlerFunc(a.all)},
		{Pattern: "/php_pool/pools/", Handler: caddy.AdminHandlerFunc(a.one)},
	}
}

func (Admin) all(w http.ResponseWriter, r *http.Request) error {
	if err := onlyGET(r); err != nil {
		return err
	}
	list := []poolJSON{}
	pools.Range(func(_, value any) bool {
		list = append(list, value.(*livePool).describe(false))
		return true
	})
	slices.SortFunc(list, func(a, b poolJSON) int { return strings.Compare(a.Name, b.Name) })
	return answerJSON(w, list)
}

func (Admin) one(w http.ResponseWriter, r *http.Request) error {
	if err := onlyGET(r); err != nil {
		return err
	}
	name := strings.TrimPrefix(r.URL.Path, "/php_pool/pools/")
	live := findPool(name)
	if live == nil {
		return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: fmt.Errorf("there is no pool %q", name)}
	}
	return answerJSON(w, live.describe(true))
}

func onlyGET(r *http.Request) error {
	if r.Method == http.MethodGet {
		return nil
	}
	return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: errors.New("only GET is allowed here")}
}

func answerJSON(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(v)
}

// Interface guards
var _ caddy.AdminRouter = Admin{}
