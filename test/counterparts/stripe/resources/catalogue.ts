import { given, metadataOf, readers, type Handlers } from '../world.js';

/** Products, prices and events: not ours to use, but Stripe's own tools do. */
export const catalogue: Handlers = {
  ...readers('/v1/events', 'event'),
  ...readers('/v1/products', 'product'),
  ...readers('/v1/prices', 'price'),
  'POST /v1/products': (world, params) => {
    const product = world.make('Products.Product', {
      ...given(params, 'name', 'description'),
      id: world.newId('prod'),
      object: 'product',
      active: true,
      metadata: metadataOf({}, params['metadata']),
    });
    world.emit('product.created', product);
    return product;
  },
  'POST /v1/products/{}': (world, params, [id]) => {
    const product = world.shelf.get('product', id);
    Object.assign(product, given(params, 'name', 'description', 'active'), {
      metadata: metadataOf(product['metadata'], params['metadata']),
    });
    world.emit('product.updated', product);
    return product;
  },
  'POST /v1/prices': (world, params) => {
    const price = world.make('Prices.Price', {
      ...given(params, 'currency', 'unit_amount', 'product'),
      id: world.newId('price'),
      object: 'price',
      active: true,
      type: 'one_time',
      metadata: metadataOf({}, params['metadata']),
    });
    world.emit('price.created', price);
    return price;
  },
};
