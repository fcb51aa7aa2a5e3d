import 'reflect-metadata';
import {
  createParamDecorator,
  HttpCode,
  RequestMapping,
  RequestMethod,
  type ExecutionContext,
  type Type,
} from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { routerPath, statusOf, type AnswerOf, type Call, type RouteSpec } from './route.js';

const ROUTE = Symbol('berth:route');

/** The call that the interceptor prepared for this request. */
const CALLS = new WeakMap<FastifyRequest, Call>();

export function setCall(request: FastifyRequest, call: Call): void {
  CALLS.set(request, call);
}

const CurrentCall = createParamDecorator((_: unknown, context: ExecutionContext) =>
  CALLS.get(context.switchToHttp().getRequest<FastifyRequest>()),
);

/** Serves a route with the method below, whose one argument is the `Call` and whose answer must fit `returns`. */
export function Serve<R extends RouteSpec>(spec: R) {
  return <H extends (call: Call<R>) => AnswerOf<R> | Promise<AnswerOf<R>>>(
    target: object,
    name: string,
    descriptor: TypedPropertyDescriptor<H>,
  ): void => {
    if (!descriptor.value) throw new TypeError(`${name} is not a method`);
    RequestMapping({ path: routerPath(spec.path), method: RequestMethod[spec.method] })(target, name, descriptor);
    HttpCode(statusOf(spec))(target, name, descriptor);
    CurrentCall()(target, name, 0);
    Reflect.defineMetadata(ROUTE, spec, descriptor.value);
  };
}

/** The route that a handler serves; null for a handler that declares none, which the boot and the guard refuse. */
export function routeOf(handler: object): RouteSpec | null {
  return (Reflect.getMetadata(ROUTE, handler) as RouteSpec | undefined) ?? null;
}

/** All routes that these controllers serve, in order of declaration. */
export function routesOf(controllers: readonly Type[]): RouteSpec[] {
  return controllers.flatMap((controller) => {
    const methods = controller.prototype as Record<string, unknown>;
    return Object.getOwnPropertyNames(methods).flatMap((name) => {
      const handler = Object.getOwnPropertyDescriptor(methods, name)?.value as unknown;
      const spec = typeof handler === 'function' ? routeOf(handler) : null;
      return spec ? [spec] : [];
    });
  });
}
