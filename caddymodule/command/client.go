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
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// client calls the admin API of a running Caddy.
type client struct {
	address string
	config  []byte        // as JSON; nil without a config
	file    string        // the file that config is from
	limit   time.Duration // for the response to a GET; 0: none
}

// newClient finds the admin API by the flags of a command.
func newClient(cmd *cobra.Command) (*client, error) {
	flags := caddycmd.Flags{FlagSet: cmd.Flags()}
	return findClient(flags.String("address"), flags.String("config"), flags.String("adapter"))
}

// findClient finds the admin API by the values of these flags.
func findClient(address, file, adapter string) (*client, error) {
	if address != "" && file == "" {
		return &client{address: address}, nil
	}
	c := new(client)
	var err error
	if c.config, c.file, _, err = caddycmd.LoadConfig(file, adapter); err != nil {
		return nil, fmt.Errorf("%w: correct the config, or give Caddy's admin address with --address", err)
	}
	if c.file == "" {
		c.config = nil
	}
	if address == "" && c.adminOff() {
		return nil, fmt.Errorf("%s disables the admin endpoint (admin off), which this command needs: enable it", c.file)
	}
	c.address, err = caddycmd.DetermineAdminAPIAddress(address, c.config, c.file, adapter)
	return c, err
}

// adminOff reports whether the config disables the admin endpoint.
func (c *client) adminOff() bool {
	var parsed struct {
		Admin struct {
			Disabled bool `json:"disabled"`
		} `json:"admin"`
	}
	return json.Unmarshal(c.config, &parsed) == nil && parsed.Admin.Disabled
}

// apiError is an error response of the admin API.
type apiError struct {
	status  int
	message string
}

func (e *apiError) Error() string { return e.message }

// unreachableError reports that no Caddy responds at an address.
type unreachableError struct {
	address string
	err     error
}

func (e *unreachableError) Error() string {
	return fmt.Sprintf("no Caddy responds at %s (%v): if it is running, give its admin address with --address or its config with --config",
		e.address, e.err)
}

func (e *unreachableError) Unwrap() error { return e.err }

// errorStatus matches the error of caddycmd.AdminAPIRequest for an error status.
var errorStatus = regexp.MustCompile(`(?s)^caddy responded with error: HTTP (\d+): (.*)$`)

// requestPrefix matches the beginning of its error for a failed connection.
var requestPrefix = regexp.MustCompile(`^performing request: \w+ "[^"]*": `)

// call calls the admin API. It sends body as JSON and decodes the response into
// response; both may be nil. The error is an [apiError] for an error response, or
// an [unreachableError].
func (c *client) call(ctx context.Context, method, path string, body, response any) error {
	if c.limit > 0 && method == http.MethodGet {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, c.limit, fmt.Errorf("no response within %v", c.limit))
		defer cancel()
	}
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
			return fmt.Errorf("the response from %s%s is not from php_pool: %w", c.address, path, err)
		}
		return nil
	}
}

// roundTrip sends a request and returns the body of the response.
func (c *client) roundTrip(method, path string, body any) ([]byte, error) {
	var reader io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		reader = bytes.NewReader(text)
	}
	// AdminAPIRequest creates a transport for each request, which would leave its
	// connection open.
	headers := http.Header{"Connection": {"close"}}
	res, err := caddycmd.AdminAPIRequest(c.address, method, path, headers, reader)
	if err != nil {
		return nil, c.parseError(err)
	}
	defer res.Body.Close()
	return io.ReadAll(res.Body)
}

// parseError turns an error of caddycmd.AdminAPIRequest into an [apiError] or an
// [unreachableError].
func (c *client) parseError(err error) error {
	m := errorStatus.FindStringSubmatch(err.Error())
	if m == nil {
		return &unreachableError{c.address, errors.New(requestPrefix.ReplaceAllString(err.Error(), ""))}
	}
	e := &apiError{message: strings.TrimSpace(m[2])}
	e.status, _ = strconv.Atoi(m[1]) // only digits match
	var response struct {
		Error string `json:"error"`
	}
	if json.Unmarshal([]byte(m[2]), &response) == nil && response.Error != "" {
		e.message = response.Error
	}
	return e
}

// pools returns all pools.
func (c *client) pools(ctx context.Context) ([]poolInfo, error) {
	var list []poolInfo
	err := c.call(ctx, http.MethodGet, poolsPath, nil, &list)
	var api *apiError
	if errors.As(err, &api) && api.status == http.StatusNotFound {
		return nil, fmt.Errorf("the Caddy at %s has no php_pool module or an older version of it: run a Caddy that has it (`caddy list-modules` shows)",
			c.address)
	}
	return list, err
}

// poolsPath is the path of the pools in the admin API.
const poolsPath = "/php_pool/pools"

// poolPath returns the path of a call for one pool.
func poolPath(name string, call ...string) string {
	path := []string{poolsPath, url.PathEscape(name)}
	for _, part := range call {
		path = append(path, url.PathEscape(part))
	}
	return strings.Join(path, "/")
}

// pool returns one pool with its workers.
func (c *client) pool(ctx context.Context, name string) (poolInfo, error) {
	var p poolInfo
	err := c.call(ctx, http.MethodGet, poolPath(name), nil, &p)
	return p, c.withPoolNames(ctx, name, err)
}

// withPoolNames replaces the error for an unknown pool by one that lists the pools.
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
		return err // the pool exists, something in it does not
	}
	return unknownPool(name, names)
}

// namesOf returns the names of pools.
func namesOf(list []poolInfo) []string {
	var names []string
	for i := range list {
		names = append(names, list[i].Name)
	}
	return names
}

// unknownPool is the error for a name that is not among the names of all pools.
func unknownPool(name string, names []string) error {
	if len(names) == 0 {
		return fmt.Errorf("unknown pool %s: this Caddy has no pools; its config has no php_pool, or is still being loaded", name)
	}
	return fmt.Errorf("unknown pool %s: the pools are %s", name, strings.Join(names, ", "))
}

// missingPool is the error of a command that needs the name of a pool. The list
// is empty if the pools are not known.
func missingPool(alternative string, list []poolInfo) error {
	text := "the name of a pool is missing: add it"
	if alternative != "" {
		text += ", " + alternative
	}
	if len(list) > 0 {
		text += " (pools: " + strings.Join(namesOf(list), ", ") + ")"
	}
	return errors.New(text)
}
