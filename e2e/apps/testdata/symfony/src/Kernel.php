<?php

namespace App;

use Symfony\Bundle\FrameworkBundle\FrameworkBundle;
use Symfony\Bundle\FrameworkBundle\Kernel\MicroKernelTrait;
use Symfony\Bundle\SecurityBundle\SecurityBundle;
use Symfony\Bundle\TwigBundle\TwigBundle;
use Symfony\Component\DependencyInjection\Compiler\CompilerPassInterface;
use Symfony\Component\DependencyInjection\ContainerBuilder;
use Symfony\Component\DependencyInjection\Loader\Configurator\ContainerConfigurator;
use Symfony\Component\HttpFoundation\Cookie;
use Symfony\Component\HttpFoundation\JsonResponse;
use Symfony\Component\HttpFoundation\RedirectResponse;
use Symfony\Component\HttpFoundation\Request;
use Symfony\Component\HttpFoundation\Response;
use Symfony\Component\HttpFoundation\StreamedResponse;
use Symfony\Component\HttpKernel\Kernel as BaseKernel;
use Symfony\Component\Routing\Loader\Configurator\RoutingConfigurator;
use Symfony\Component\Security\Core\Security;
use Symfony\Component\Security\Core\User\PasswordAuthenticatedUserInterface;

class Kernel extends BaseKernel implements CompilerPassInterface
{
    use MicroKernelTrait;

    public function registerBundles(): iterable
    {
        return [new FrameworkBundle(), new SecurityBundle(), new TwigBundle()];
    }

    public function getProjectDir(): string
    {
        return dirname(__DIR__);
    }

    public function process(ContainerBuilder $container)
    {
        $container->setAlias('twig.public', 'twig')->setPublic(true);
        $container->setAlias('tokens.public', 'security.token_storage')->setPublic(true);
    }

    protected function configureContainer(ContainerConfigurator $c): void
    {
        $c->extension('framework', [
            'secret' => 'a secret of the test',
            'http_method_override' => false,
            'csrf_protection' => true,
            'session' => [
                'storage_factory_id' => 'session.storage.factory.native', 'handler_id' => null,
                'save_path' => '%kernel.project_dir%/var/sessions', 'cookie_samesite' => 'lax',
            ],
        ]);
        $c->extension('security', [
            'enable_authenticator_manager' => true,
            'password_hashers' => [PasswordAuthenticatedUserInterface::class => 'plaintext'],
            'providers' => ['users' => ['memory' => ['users' => [
                'ann' => ['password' => 'secret', 'roles' => ['ROLE_USER']],
                'bob' => ['password' => 'hidden', 'roles' => ['ROLE_ADMIN']],
            ]]]],
            'firewalls' => [
                'api' => ['pattern' => '^/api', 'stateless' => true, 'http_basic' => ['realm' => 'the API']],
                'main' => [
                    'lazy' => true,
                    'form_login' => ['login_path' => '/login', 'check_path' => '/login', 'default_target_path' => '/private'],
                    'logout' => ['path' => '/logout', 'target' => '/'],
                ],
            ],
            'access_control' => [
                ['path' => '^/(private|api)', 'roles' => 'IS_AUTHENTICATED_FULLY'],
                ['path' => '^/admin', 'roles' => 'ROLE_ADMIN'],
            ],
        ]);
        $c->extension('twig', ['default_path' => '%kernel.project_dir%/templates']);
    }

    protected function configureRoutes(RoutingConfigurator $routes): void
    {
        foreach (['home' => '/', 'json' => '/json/{id}', 'session' => '/session', 'post' => '/post', 'upload' => '/upload',
            'stream' => '/stream', 'boom' => '/boom', 'leave' => '/leave', 'move' => '/move', 'cookie' => '/cookie',
            'login' => '/login', 'logout' => '/logout', 'user' => '/private', 'admin' => '/admin', 'api' => '/api'] as $method => $path) {
            $routes->add($method, $path)->controller([$this, $method]);
        }
        for ($i = 0; $i < 100; $i++) { // a router of some size
            $routes->add("r$i", "/r$i/{id}")->controller([$this, 'json']);
        }
    }

    public function home(Request $r): Response
    {
        return new Response($this->getContainer()->get('twig.public')->render('home.html.twig', ['query' => $r->query->all(), 'items' => range(1, 20)]));
    }

    public function json(Request $r, string $id): Response
    {
        return new JsonResponse(['id' => $id, 'uri' => $r->getUri(), 'ip' => $r->getClientIp(), 'base' => $r->getBaseUrl(), 'languages' => $r->getLanguages()]);
    }

    public function session(Request $r): Response
    {
        $session = $r->getSession();
        $session->set('count', $session->get('count', 0) + 1);
        $session->getFlashBag()->add('note', 'visit ' . $session->get('count'));
        return new Response('count ' . $session->get('count') . ': ' . implode(',', $session->getFlashBag()->peek('note')));
    }

    public function post(Request $r): Response
    {
        return new JsonResponse(['post' => $r->request->all(), 'content' => $r->getContent(), 'method' => $r->getMethod(), 'type' => $r->getContentType()]);
    }

    public function upload(Request $r): Response
    {
        $file = $r->files->get('file');
        $name = 'moved' . bin2hex(random_bytes(8));
        $file->move($this->getProjectDir() . '/var', $name);
        $content = file_get_contents($this->getProjectDir() . '/var/' . $name);
        unlink($this->getProjectDir() . '/var/' . $name);
        return new Response($file->getClientOriginalName() . ' ' . strlen($content) . ' ' . md5($content));
    }

    public function stream(): Response
    {
        return new StreamedResponse(static function () {
            for ($i = 0; $i < 3; $i++) {
                echo "part $i\n";
                if (ob_get_level() > 0) {
                    ob_flush();
                }
                flush();
            }
        });
    }

    public function boom(): Response
    {
        throw new \RuntimeException('boom');
    }

    public function leave(): Response
    {
        echo 'partial';
        exit(1);
    }

    public function move(): Response
    {
        return new RedirectResponse('/json/moved', 303);
    }

    public function cookie(Request $r): Response
    {
        $response = new Response($r->cookies->get('flavor', 'none'));
        $response->headers->setCookie(Cookie::create('flavor', $r->query->get('set')));
        return $response;
    }

    /** The form of the firewall "main". */
    public function login(Request $r): Response
    {
        $error = $r->hasPreviousSession() ? $r->getSession()->remove(Security::AUTHENTICATION_ERROR) : null;
        return new Response($error ? 'error: ' . $error->getMessageKey() : 'log in', $error ? 401 : 200);
    }

    public function user(Request $r): Response
    {
        $token = $this->getContainer()->get('tokens.public')->getToken();
        $user = $token ? $token->getUserIdentifier() . ' ' . implode(',', $token->getRoleNames()) : 'nobody';
        return new JsonResponse(['user' => $user, 'basic' => $r->getUser(), 'session' => $r->hasPreviousSession()]);
    }

    public function admin(Request $r): Response
    {
        return $this->user($r);
    }

    public function api(Request $r): Response
    {
        return $this->user($r);
    }
}
