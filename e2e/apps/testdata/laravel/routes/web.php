<?php

use Illuminate\Http\Request;
use Illuminate\Support\Facades\Route;

Route::get('/', function (Request $r) {
    return view('home', ['name' => $r->query('name', 'you'), 'count' => session()->increment('count')]);
});
Route::get('/json/{id}', function (Request $r, string $id) {
    return ['id' => $id, 'uri' => $r->fullUrl(), 'ip' => $r->ip(), 'locale' => app()->getLocale(), 'name' => config('app.name')];
});
Route::any('/post', function (Request $r) {
    return ['input' => $r->all(), 'content' => $r->getContent(), 'method' => $r->method(), 'file' => optional($r->file('file'))->getClientOriginalName()];
});
Route::post('/upload', function (Request $r) {
    $path = $r->file('file')->store('uploads');
    $content = file_get_contents(storage_path('app/' . $path));
    unlink(storage_path('app/' . $path));
    return $r->file('file')->getClientOriginalName() . ' ' . strlen($content) . ' ' . md5($content);
});
Route::get('/change', function (Request $r) { // must not be seen by the next request
    app()->setLocale('nl');
    config(['app.name' => 'changed']);
    return app()->getLocale() . config('app.name');
});
Route::get('/cookie', function (Request $r) {
    return response($r->cookie('flavor', 'none'))->cookie('flavor', $r->query('set'), 10);
});
Route::get('/move', function () {
    return redirect('/json/moved', 303);
});
Route::get('/stream', function () {
    return response()->stream(function () {
        foreach (range(0, 2) as $i) {
            echo "part $i\n";
            flush();
        }
    });
});
Route::get('/boom', function () {
    throw new RuntimeException('boom');
});
