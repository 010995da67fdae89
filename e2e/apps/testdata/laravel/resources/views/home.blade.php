<!doctype html><title>{{ $name }}</title><h1>{{ $count }}</h1>@foreach(range(1, 20) as $i)<li>{{ $i }} {{ strtoupper($name) }}</li>@endforeach
