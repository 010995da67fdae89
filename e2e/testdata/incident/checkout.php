<?php
// Waits for a server that accepts the connection and never responds.
function ask(string $address): string
{
    $server = stream_socket_client($address);
    stream_set_timeout($server, 3600);
    return fgets($server);
}

echo ask('tcp://' . $_GET['server']);
