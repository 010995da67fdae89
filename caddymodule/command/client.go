package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// client speaks to the admin API of a running Caddy.
type client struct {
	address string
	config  []byte // Caddy's JSON; nil where there is no config
	file    string // that it is from
}

// newClient finds the admin API by a command's flags.
func newClient(cmd *cobra.Command) (*client, error) {
	flags := caddycmd.Flags{FlagSet: cmd.Flags()}
	address, file, adapter := flags.String("address"), flags.String("config"), flags.String("adapter")
	if address != "" && file == "" {
		return &client{address: address}, nil
	}
	c := new(client)
	var err error
	if c.config, c.file, _, err = caddycmd.LoadConfig(file, adapter); err != nil {
		return nil, fmt.Errorf("%w: correct the config, or name Caddy's admin address by --address", err)
	}
	if c.file == "" {
		c.config = nil
	}
	if address == "" && c.adminOff() {
		return nil, fmt.Errorf("%s turns the admin endpoint off (admin off), so a running Caddy cannot be asked", c.file)
	}
	c.address, err = caddycmd.DetermineAdminAPIAddress(address, c.config, c.file, adapter)
	return c, err
}

func (c *client) adminOff() bool {
	var parsed struct {
		Admin struct {
			Disabled bool `json:"disabled"`
		} `json:"admin"`
	}
	return json.Unmarshal(c.config, &parsed) == nil && parsed.Admin.Disabled
}

// apiError is what the admin API answered instead of doing what it was asked.
type apiError struct {
	status  int
	message string
}

func (e *apiError) Error() string { return e.message }

// unreachableError says that there is no Caddy to ask.
type unreachableError struct {
	address string
	err     error
}

func (e *unreachableError) Error() string {
	return fmt.Sprintf("no Caddy answers at %s (%v): is it running? Name its admin address by --address, or its config by --config",
		e.address, e.err)
}

func (e *unreachableError) Unwrap() error { return e.err }

// errorStatus is the text that caddycmd.AdminAPIRequest makes of an error status.
var errorStatus = regexp.MustCompile(`(?s)^caddy responded with error: HTTP (\d+): (.*)$`)

// requestPrefix is what it puts before an error of the connection.
var requestPrefix = regexp.MustCompile(`^performing request: \w+ "[^"]*": `)

// call asks the admin API; body and answer are JSON, or nil. A *json.RawMessage
// takes the answer as it is.
func (c *client) call(ctx context.Context, method, path string, body, response any) error {
	type result struct {
		text []byte
		err  error
	}
	done := make(chan result, 1)
	go func() { // AdminAPIRequest takes no context
		text, err := c.roundTrip(method, path, body)
		done <- result{text, err}
	}()
	select {
	case <-ctx.Done():
		return &unreachableError{c.address, context.Cause(ctx)}
	case r := <-done:
		if r.err != nil || response == nil {
			return r.err
		}
		if err := json.Unmarshal(r.text, response); err != nil {
			return fmt.Errorf("what answers at %s%s is not php_pool: %w", c.address, path, err)
		}
		return nil
	}
}

func (c *client) roundTrip(method, path string, body any) ([]byte, error) {
	var reader io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		reader = bytes.NewReader(text)
	}
	// Each request has a transport of its own, which would keep its connection.
	headers := http.Header{"Connection": {"close"}}
	res, err := caddycmd.AdminAPIRequest(c.address, method, path, headers, reader)
	if err != nil {
		return nil, c.parseError(err)
	}
	defer res.Body.Close()
	return io.ReadAll(res.Body)
}

// parseError tells an error of the admin API from one on the way to it.
func (c *client) parseError(err error) error {
	m := errorStatus.FindStringSubmatch(err.Error())
	if m == nil {
		return &unreachableError{c.address, errors.New(requestPrefix.ReplaceAllString(err.Error(), ""))}
	}
	e := &apiError{message: strings.TrimSpace(m[2])}
	e.status, _ = strconv.Atoi(m[1]) // digits, by the expression
	var response struct {
		Error string `json:"error"`
	}
	if json.Unmarshal([]byte(m[2]), &response) == nil && response.Error != "" {
		e.message = response.Error
	}
	return e
}

// pools asks for all pools.
func (c *client) pools(ctx context.Context) ([]poolInfo, error) {
	var list []poolInfo
	err := c.call(ctx, http.MethodGet, poolsPath, nil, &list)
	var api *apiError
	if errors.As(err, &api) && api.status == http.StatusNotFound {
		return nil, fmt.Errorf("the Caddy at %s has no php_pool module, or an older one: build it with the module (caddy list-modules)",
			c.address)
	}
	return list, err
}

// poolsPath is where the admin API has the pools.
const poolsPath = "/php_pool/pools"

// poolPath is the path of a call for one pool.
func poolPath(name string, call ...string) string {
	path := []string{poolsPath, url.PathEscape(name)}
	for _, part := range call {
		path = append(path, url.PathEscape(part))
	}
	return strings.Join(path, "/")
}

// pool asks for one pool, with its workers.
func (c *client) pool(ctx context.Context, name string) (poolInfo, error) {
	var p poolInfo
	err := c.call(ctx, http.MethodGet, poolPath(name), nil, &p)
	return p, c.withPoolNames(ctx, name, err)
}

// withPoolNames adds to the error that there is no such pool which ones there are.
func (c *client) withPoolNames(ctx context.Context, name string, err error) error {
	var api *apiError
	if !errors.As(err, &api) || api.status != http.StatusNotFound {
		return err
	}
	list, listErr := c.pools(ctx)
	if listErr != nil {
		return listErr
	}
	names := namesOf(list)
	if slices.Contains(names, name) {
		return err // it is something else that is not there
	}
	return unknownPool(name, names)
}

func namesOf(list []poolInfo) []string {
	var names []string
	for i := range list {
		names = append(names, list[i].Name)
	}
	return names
}

func unknownPool(name string, names []string) error {
	if len(names) == 0 {
		return fmt.Errorf("there is no pool %s: this Caddy runs none, its config has no php_pool", name)
	}
	return fmt.Errorf("there is no pool %s: there is %s", name, strings.Join(names, ", "))
}
